// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_COMPACT_KEY_HPP
#define HOLDFAST_DETAIL_COMPACT_KEY_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

namespace holdfast::detail {

/// A text that does not change, in 24 bytes: up to 20 characters in place, a longer one elsewhere.
class compact_key {
 public:
  /// Keeps at most the first 4,294,967,295 characters.
  explicit compact_key(std::string_view text)
      : size_(static_cast<std::uint32_t>(std::min<std::size_t>(text.size(), UINT32_MAX))) {
    char* to = bytes_;
    if (!in_place()) {
      to = new char[size_];
      std::memcpy(bytes_, &to, sizeof(to));
    }
    if (size_ != 0) std::memcpy(to, text.data(), size_);
  }
  compact_key(compact_key&& other) noexcept : size_(std::exchange(other.size_, 0)) {
    std::memcpy(bytes_, other.bytes_, sizeof(bytes_));
  }
  ~compact_key() {
    if (!in_place()) delete[] elsewhere();
  }

  std::string_view view() const noexcept { return {in_place() ? bytes_ : elsewhere(), size_}; }

 private:
  bool in_place() const noexcept { return size_ <= sizeof(bytes_); }
  char* elsewhere() const noexcept {
    char* p = nullptr;
    std::memcpy(&p, bytes_, sizeof(p));
    return p;
  }

  char bytes_[20]{};
  std::uint32_t size_;
};

static_assert(sizeof(compact_key) == 24);

}  // namespace holdfast::detail

#endif
