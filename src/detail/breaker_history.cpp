// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <holdfast/detail/breaker_history.hpp>

namespace holdfast::detail {

namespace {

/// Threads read the clock before they take the lock: a later one may bring an earlier time.
duration between(time_point from, time_point to) noexcept {
  return std::max(to - from, duration::zero());
}

}  // namespace

void hourly_count::add(time_point now) noexcept {
  const std::int64_t n = minute_of(now);
  minute& m = minutes_[static_cast<std::size_t>(n) % minutes_.size()];
  if (m.number != n) m = {n, 0};
  ++m.count;
}

unsigned hourly_count::sum(time_point now) const noexcept {
  const std::int64_t n = minute_of(now);
  unsigned total = 0;
  for (const minute& m : minutes_) {
    if (m.number > n - static_cast<std::int64_t>(minutes_.size()) && m.number <= n)
      total += m.count;
  }
  return total;
}

void breaker_history::change(breaker_state from, breaker_state to, time_point now) noexcept {
  if (from == to) return;
  spent_[static_cast<std::size_t>(from)] += between(since_, now);
  since_ = now;
  if (to == breaker_state::half_open) half_open_.add(now);
}

void breaker_history::fill(breaker_snapshot& s, time_point now) const noexcept {
  s.in_this_state = between(since_, now);
  s.time_in_state = spent_;
  s.time_in_state[static_cast<std::size_t>(s.state)] += s.in_this_state;
  s.half_open_last_hour = half_open_.sum(now);
}

}  // namespace holdfast::detail
