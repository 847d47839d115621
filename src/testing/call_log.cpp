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

namespace {

/// What the durations of a span say; sorts them.
void describe(call_summary& s, std::vector<duration>& took) {
  s.calls = took.size();
  if (took.empty()) return;
  std::ranges::sort(took);
  // The smallest value that so many of a hundred do not exceed.
  const auto percentile = [&took](std::size_t p) { return took[(took.size() * p + 99) / 100 - 1]; };
  s.p50 = percentile(50);
  s.p99 = percentile(99);
  s.longest = took.back();
}

}  // namespace

call_summary call_log::between(duration from, duration until) const {
  call_summary s;
  std::vector<duration> took;
  for (const entry& e : entries_) {
    s.begun += e.began >= from && e.began < until;
    if (e.ended < from || e.ended >= until) continue;
    took.push_back(e.ended - e.began);
    s.good += e.good;
  }
  describe(s, took);
  return s;
}

std::vector<call_summary> call_log::series(duration step, duration until) const {
  const auto spans = static_cast<std::size_t>((until + step - duration(1)) / step);
  std::vector<call_summary> all(spans);
  std::vector<std::vector<duration>> took(spans);
  for (const entry& e : entries_) {
    if (e.began < until) ++all[static_cast<std::size_t>(e.began / step)].begun;
    if (e.ended < duration::zero() || e.ended >= until) continue;
    const auto span = static_cast<std::size_t>(e.ended / step);
    took[span].push_back(e.ended - e.began);
    all[span].good += e.good;
  }
  for (std::size_t i = 0; i < spans; ++i) describe(all[i], took[i]);
  return all;
}

}  // namespace holdfast::testing
