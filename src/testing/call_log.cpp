// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <holdfast/testing/call_log.hpp>

namespace holdfast::testing {

std::size_t call_log::begin(time_point now) {
  entries_.push_back({.began = now - origin_});
  return entries_.size() - 1;
}

void call_log::end(std::size_t number, time_point now, bool good) noexcept {
  entries_[number].ended = now - origin_;
  entries_[number].good = good;
  ++ended_;
}

call_summary call_log::between(duration from, duration until) const {
  call_summary s;
  std::vector<duration> took;
  for (const entry& e : entries_) {
    s.begun += e.began >= from && e.began < until;
    if (e.ended < from || e.ended >= until) continue;
    took.push_back(e.ended - e.began);
    s.good += e.good;
  }
  s.calls = took.size();
  if (took.empty()) return s;
  std::ranges::sort(took);
  // The smallest value that so many of a hundred do not exceed.
  const auto percentile = [&took](std::size_t p) { return took[(took.size() * p + 99) / 100 - 1]; };
  s.p50 = percentile(50);
  s.p99 = percentile(99);
  s.longest = took.back();
  return s;
}

}  // namespace holdfast::testing
