// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_TESTING_CALL_SERIES_HPP
#define HOLDFAST_TESTING_CALL_SERIES_HPP

#include <cstddef>
#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/testing/call_log.hpp>
#include <holdfast/testing/latency_histogram.hpp>
#include <vector>

namespace holdfast::testing {

/// What became of the calls of a simulation, for one span of time after the other. It keeps no
/// call: its memory grows with the spans, not with the calls. Their percentiles are a histogram's,
/// a thousandth too high at most. Stands where a `call_log` does. Thread safety: none.
class call_series {
 public:
  /// Spans of `step`, which is more than no time; the first begins at `origin`.
  call_series(time_point origin, duration step) noexcept : origin_(origin), step_(step) {}

  /// Notes that a call begins; returns what `end` wants to know of it. Times never go back.
  time_point begin(time_point now);
  void end(time_point began, time_point now, bool good);

  /// The spans from the first up to the one in which something happened last.
  std::vector<call_summary> spans() const;

  /// All of them together.
  call_summary all() const;

  /// How many calls have not ended.
  std::uint64_t unfinished() const noexcept { return begun_ - latencies_.count(); }

 private:
  /// The span of that time, which is the last one.
  call_summary& reach(time_point now);

  time_point origin_;
  duration step_;
  std::vector<call_summary> spans_;  // the last one without what its latencies say
  latency_histogram latest_;         // of the last one
  latency_histogram latencies_;      // of all
  std::uint64_t begun_ = 0;
  std::uint64_t good_ = 0;
};

}  // namespace holdfast::testing

#endif
