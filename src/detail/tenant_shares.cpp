// SPDX-License-Identifier: BSL-1.0
#include <holdfast/detail/tenant_shares.hpp>

namespace holdfast::detail {

tenant_shares::place tenant_shares::find(std::uint64_t hash, std::uint64_t& word) const noexcept {
  const std::size_t line = line_of(hash);
  place free = none;
  std::uint64_t free_word = 0;
  for (std::size_t i = line; i < line + ways; ++i) {
    const std::uint64_t seen = slots_[i].load(std::memory_order_relaxed);
    if (count_of(seen) == 0) {
      if (free == none) {
        free = static_cast<place>(i);
        free_word = seen;
      }
    } else if (seen >> 32 == tag_of(hash)) {
      word = seen;
      return static_cast<place>(i);
    }
  }
  if (free != none) {
    word = free_word;
    return free;
  }
  const auto shared = static_cast<place>(line + (hash / lines) % ways);
  word = slots_[shared].load(std::memory_order_relaxed);
  return shared;
}

tenant_shares::place tenant_shares::take(std::uint64_t hash, unsigned capacity,
                                         unsigned burst) noexcept {
  for (;;) {
    const std::uint64_t out = total_.load(std::memory_order_relaxed);
    if (out >= capacity) return none;
    std::uint64_t word = 0;
    const place p = find(hash, word);
    const std::uint64_t count = count_of(word);
    if (count >= (capacity - out) * burst) return none;
    const std::uint64_t taken = count == 0 ? (tag_of(hash) << 32) + 1 : word + 1;
    if (slots_[p].compare_exchange_weak(word, taken, std::memory_order_relaxed)) {
      total_.fetch_add(1, std::memory_order_relaxed);
      return p;
    }
  }
}

unsigned tenant_shares::held(std::uint64_t hash) const noexcept {
  std::uint64_t word = 0;
  find(hash, word);
  return static_cast<unsigned>(count_of(word));
}

}  // namespace holdfast::detail
