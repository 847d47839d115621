// SPDX-License-Identifier: BSL-1.0
#include <holdfast/testing/call_series.hpp>

namespace holdfast::testing {

namespace {

void describe(call_summary& s, const latency_histogram& took) {
  s.calls = took.count();
  s.p50 = took.quantile(0.5);
  s.p99 = took.quantile(0.99);
  s.longest = took.longest();
}

}  // namespace

call_summary& call_series::reach(time_point now) {
  const auto span = static_cast<std::size_t>((now - origin_) / step_);
  if (span >= spans_.size()) {
    if (!spans_.empty()) describe(spans_.back(), latest_);
    latest_.clear();
    spans_.resize(span + 1);
  }
  return spans_.back();
}

time_point call_series::begin(time_point now) {
  ++reach(now).begun;
  ++begun_;
  return now;
}

void call_series::end(time_point began, time_point now, bool good) {
  reach(now).good += good;
  good_ += good;
  latest_.add(now - began);
  latencies_.add(now - began);
}

std::vector<call_summary> call_series::spans() const {
  std::vector<call_summary> all = spans_;
  if (!all.empty()) describe(all.back(), latest_);
  return all;
}

call_summary call_series::all() const {
  call_summary s{.begun = begun_, .good = good_};
  describe(s, latencies_);
  return s;
}

}  // namespace holdfast::testing
