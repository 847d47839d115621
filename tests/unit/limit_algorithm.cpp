// SPDX-License-Identifier: BSL-1.0
// The three algorithms, window by window, by hand.
#include <algorithm>
#include <catch2/catch_all.hpp>
#include <holdfast/detail/limit_algorithm.hpp>

namespace {

namespace hf = holdfast;
using namespace std::chrono_literals;
using Catch::Approx;
using hf::detail::limit_window;

limit_window full(hf::duration latency) {
  return {.latency = latency, .samples = 200, .admitted = 200};
}

}  // namespace

TEST_CASE("gradient: grows at the idle latency, shrinks above the tolerance", "[adaptive_limit]") {
  const hf::detail::gradient_limit g{.tolerance = 1.5, .smoothing = 1.0};
  CHECK(g.next(100, full(50ms), 50ms) == Approx(160));
  CHECK(g.next(100, full(75ms), 50ms) == Approx(110));
  CHECK(g.next(100, full(150ms), 50ms) == Approx(60));
  CHECK(g.next(100, full(10s), 50ms) == Approx(60));   // never by more than half at once
  CHECK(g.next(100, full(1ms), 50ms) == Approx(160));  // faster than idle is idle
  const hf::detail::gradient_limit smooth{.tolerance = 1.5, .smoothing = 0.25};
  CHECK(smooth.next(100, full(50ms), 50ms) == Approx(115));
}

TEST_CASE("gradient: rests where the queue is as long as its headroom", "[adaptive_limit]") {
  const hf::detail::gradient_limit g{.tolerance = 1.5, .smoothing = 0.3};
  double limit = 20;
  for (int i = 0; i < 200; ++i) {
    // 20 places, 50 ms each: beyond them calls queue.
    const double latency = 50e6 * std::max(1.0, limit / 20);
    limit = g.next(limit, full(hf::duration(static_cast<hf::duration::rep>(latency))), 50ms);
  }
  CHECK(limit == Approx(36).margin(0.1));
}

TEST_CASE("vegas: keeps the queue between its thresholds", "[adaptive_limit]") {
  const hf::detail::vegas_limit v;
  // At 100 a step is 2: up to 2 queued is too few, 6 to 12 is right, more is too many.
  CHECK(v.next(100, full(50ms), 50ms) == Approx(106));
  CHECK(v.next(100, full(52083us), 50ms) == Approx(102));  // 4 in the queue
  CHECK(v.next(100, full(54945us), 50ms) == Approx(100));  // 9
  CHECK(v.next(100, full(57471us), 50ms) == Approx(98));   // 13
  CHECK(v.next(100, full(100ms), 50ms) == Approx(81));     // 50: half of what is too much
  CHECK(v.next(2, full(50ms), 50ms) == Approx(5));         // the step is never below 1
}

TEST_CASE("aimd: a step up, a factor down", "[adaptive_limit]") {
  hf::detail::aimd_limit a{.backoff = 0.9, .increase = 2, .slow_after = hf::duration::zero()};
  CHECK(a.next(100, full(10s), 0ms) == Approx(102));
  auto w = full(50ms);
  w.dropped = 100;
  CHECK(a.next(100, w, 0ms) == Approx(90));
  a.slow_after = 1s;
  CHECK(a.next(100, full(1s), 0ms) == Approx(102));
  CHECK(a.next(100, full(1s + 1ns), 0ms) == Approx(90));
  w.samples = 0;
  w.dropped = 0;
  CHECK(a.next(100, w, 0ms) == Approx(100));
}

TEST_CASE("dropped calls lower every limit by their share, accidents do not", "[adaptive_limit]") {
  const hf::detail::gradient_limit g{.tolerance = 1.5, .smoothing = 0.3};
  const hf::detail::vegas_limit v;
  auto w = full(50ms);
  w.dropped = 2;  // one in a hundred
  CHECK(g.next(100, w, 50ms) > 100);
  CHECK(v.next(100, w, 50ms) > 100);
  w.dropped = 60;
  CHECK(g.next(100, w, 50ms) == Approx(103 * 0.7));
  CHECK(v.next(100, w, 50ms) == Approx(101 * 0.7));
  w.dropped = 1000;  // more than were admitted: calls of an earlier window
  CHECK(g.next(100, w, 50ms) == Approx(103 * 0.5));
  w.samples = 0;  // nothing but drops: the latency has no meaning
  w.latency = {};
  CHECK(g.next(100, w, 50ms) == Approx(50));
  CHECK(v.next(100, w, 50ms) == Approx(50));
}
