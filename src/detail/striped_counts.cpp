// SPDX-License-Identifier: BSL-1.0
#include <holdfast/detail/striped_counts.hpp>

namespace holdfast::detail {

striped_counts::striped_counts()
    : mask_(suitable_stripes(most_stripes) - 1),
      stripes_(std::make_unique<stripe[]>(mask_ + 1)) {}

void striped_counts::add(call_kind k, std::int64_t period, std::uint64_t n) noexcept {
  if (n == 0) return;
  mine().window.add(k, period, n);
  // Whoever has added a bad call sums next. Of two at once the later one here sees what the earlier
  // one has added.
  if (k != call_kind::good) last_bad_.exchange(period, std::memory_order_acq_rel);
}

window_counts striped_counts::sum(std::int64_t period) const noexcept {
  window_counts counts;
  for (unsigned i = 0; i <= mask_; ++i) stripes_[i].window.sum(counts, period);
  return counts;
}

void striped_counts::clear() noexcept {
  for (unsigned i = 0; i <= mask_; ++i) stripes_[i].window.clear();
  last_bad_.store(none, std::memory_order_relaxed);
  unsettle();
}

std::uint64_t striped_counts::late(std::uint64_t generation, std::int64_t span) const noexcept {
  std::uint64_t sum = 0;
  for (unsigned i = 0; i <= mask_; ++i) sum += stripes_[i].in_flight.late(generation, span);
  return sum;
}

void striped_counts::clear_in_flight(std::uint64_t generation) noexcept {
  for (unsigned i = 0; i <= mask_; ++i) stripes_[i].in_flight.clear(generation);
}

std::uint64_t striped_counts::refused() const noexcept {
  std::uint64_t sum = 0;
  for (unsigned i = 0; i <= mask_; ++i) {
    sum += stripes_[i].refused.load(std::memory_order_relaxed);
  }
  return sum;
}

}  // namespace holdfast::detail
