// SPDX-License-Identifier: BSL-1.0
#include <holdfast/detail/striped_counts.hpp>

namespace holdfast::detail {

striped_counts::striped_counts()
    : own_(suitable_stripes(most_stripes)), stripes_(std::make_unique<stripe[]>(stripes())) {}

void striped_counts::add(call_kind k, std::int64_t period, std::uint64_t n) noexcept {
  if (n == 0) return;
  const std::int64_t p = numbered(period);
  mine().window.add(k, p, n);
  // Whoever has added a bad call sums next. Of two at once the later one here sees what the earlier
  // one has added.
  if (k != call_kind::good) last_bad_.exchange(p, std::memory_order_acq_rel);
}

window_counts striped_counts::sum(std::int64_t period) const noexcept {
  window_counts counts;
  const std::int64_t p = numbered(period);
  for (unsigned i = 0; i < stripes(); ++i) stripes_[i].window.sum(counts, p);
  return counts;
}

void striped_counts::clear() noexcept {
  leapt_.store(leapt_.load(std::memory_order_relaxed) + leap, std::memory_order_relaxed);
  last_bad_.store(none, std::memory_order_relaxed);
  unsettle();
}

void striped_counts::clear_for_renumbering() noexcept {
  for (unsigned i = 0; i < stripes(); ++i) stripes_[i].window.clear();
  clear();
}

std::uint64_t striped_counts::late(std::uint64_t generation, std::int64_t span) const noexcept {
  std::uint64_t sum = 0;
  for (unsigned i = 0; i < stripes(); ++i) sum += stripes_[i].in_flight.late(generation, span);
  return sum;
}

void striped_counts::clear_in_flight(std::uint64_t generation) noexcept {
  for (unsigned i = 0; i < stripes(); ++i) stripes_[i].in_flight.clear(generation);
}

std::uint64_t striped_counts::refused() const noexcept {
  std::uint64_t sum = 0;
  for (unsigned i = 0; i < stripes(); ++i) {
    sum += stripes_[i].refused.load(std::memory_order_relaxed);
  }
  return sum;
}

}  // namespace holdfast::detail
