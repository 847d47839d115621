// SPDX-License-Identifier: BSL-1.0
#include <holdfast/detail/failure_window.hpp>

namespace holdfast::detail {

failure_window::counts failure_window::sum(time_point now) const noexcept {
  counts total;
  if (!enabled()) return total;
  const std::int64_t p = period(now);
  for (const auto& bucket : buckets_) {
    const std::uint64_t word = bucket.load(std::memory_order_relaxed);
    // From the nine periods before this one, to a window ahead of it.
    if (ahead(word, p - size + 1) >= 2 * size) continue;
    total.good += (word >> count_bits) & count_mask;
    total.bad += word & count_mask;
  }
  return total;
}

void failure_window::clear() noexcept {
  for (auto& bucket : buckets_) bucket.store(0, std::memory_order_relaxed);
  last_bad_.store(no_bad, std::memory_order_relaxed);
}

}  // namespace holdfast::detail
