// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_KEYED_COUNT_HPP
#define HOLDFAST_DETAIL_KEYED_COUNT_HPP

#include <cstdint>
#include <holdfast/detail/sync.hpp>

namespace holdfast::detail {

/// A count that belongs to a key, which rises: what is counted under an older key is forgotten.
///
/// Thread safety: safe; a thread that sees a count that another has changed sees what that did
/// before.
class keyed_count {
 public:
  void add(std::uint32_t key) noexcept {
    change([key](std::uint64_t seen) {
      if (key_of(seen) == key) return seen + 1;
      return newer(key, key_of(seen)) ? std::uint64_t{key} << 32 | 1 : seen;
    });
  }
  void subtract(std::uint32_t key) noexcept {
    change([key](std::uint64_t seen) { return key_of(seen) == key ? seen - 1 : seen; });
  }
  std::uint32_t count(std::uint32_t key) const noexcept {
    const std::uint64_t seen = word_.load(std::memory_order_acquire);
    return key_of(seen) == key ? static_cast<std::uint32_t>(seen) : 0;
  }

 private:
  static std::uint32_t key_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word >> 32);
  }
  static bool newer(std::uint32_t a, std::uint32_t b) noexcept {
    return static_cast<std::int32_t>(a - b) > 0;
  }

  template <class Change>
  void change(Change to) noexcept {
    std::uint64_t seen = word_.load(std::memory_order_relaxed);
    for (;;) {
      const std::uint64_t wanted = to(seen);
      if (wanted == seen) return;
      if (word_.compare_exchange_weak(seen, wanted, std::memory_order_acq_rel,
                                      std::memory_order_relaxed)) {
        return;
      }
    }
  }

  sync::atomic<std::uint64_t> word_{0};  // the key, and the count under it
};

}  // namespace holdfast::detail

#endif
