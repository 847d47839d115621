// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_SHORT_NAME_HPP
#define HOLDFAST_SHORT_NAME_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace holdfast {

/// The name of a policy, copied into what may outlive it. Longer names are cut.
class short_name {
 public:
  static constexpr std::size_t capacity = 31;

  short_name() noexcept : size_(0) {}
  explicit short_name(std::string_view name) noexcept;

  std::string_view view() const noexcept { return {text_.data(), size_}; }

 private:
  std::uint8_t size_;
  // Only the first `size_` characters are ever read: an empty name costs one byte to make.
  std::array<char, capacity> text_;
};

}  // namespace holdfast

#endif
