// SPDX-License-Identifier: BSL-1.0
// The three algorithms and the controller around them, window by window, by hand.
#include <catch2/catch_all.hpp>
#include <cmath>
#include <holdfast/detail/limit_controller.hpp>
#include <random>

namespace {

namespace hf = holdfast;
using namespace std::chrono_literals;
using Catch::Approx;
using hf::detail::limit_controller;
using hf::detail::limit_window;

/// A window in which the calls used the whole limit.
limit_window full(hf::duration latency, unsigned limit = 100) {
  return {.latency = latency,
          .samples = 200,
          .admitted = 200,
          .dropped = 0,
          .peak_in_flight = limit,
          .refused = true};
}

limit_window light(hf::duration latency) {
  return {.latency = latency,
          .samples = 200,
          .admitted = 200,
          .dropped = 0,
          .peak_in_flight = 1,
          .refused = false};
}

/// Drives a controller, a second for each window.
struct driver {
  explicit driver(hf::adaptive_limit_options o) : controller(o) {}
  unsigned judge(const limit_window& w) {
    now += 1s;
    controller.on_window(w, now, random);
    return controller.limit();
  }
  limit_controller controller;
  hf::time_point now{1h};
  std::uint64_t random = std::uint64_t{1} << 63;  // no jitter
};

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

TEST_CASE("a service that drops calls for reasons of its own is not throttled to nothing",
          "[adaptive_limit]") {
  driver d({.initial_limit = 20, .min_limit = 1});
  d.judge(light(50ms));
  auto w = full(50ms);
  w.dropped = 20;  // one in ten
  for (int i = 0; i < 1000; ++i) d.judge(w);
  CHECK(d.controller.limit() >= 5);
}

TEST_CASE("a limit that the calls do not use does not grow, but may shrink", "[adaptive_limit]") {
  driver d({.initial_limit = 20});
  for (int i = 0; i < 50; ++i) CHECK(d.judge(light(50ms)) == 20);
  CHECK(d.controller.idle() == 50ms);
  auto w = light(50ms);
  w.peak_in_flight = 11;
  CHECK(d.judge(w) > 20);
  driver slow({.initial_limit = 20});
  slow.judge(light(50ms));
  auto dropping = light(50ms);
  dropping.dropped = 100;
  CHECK(slow.judge(dropping) < 20);
}

TEST_CASE("the limit stays within its bounds", "[adaptive_limit]") {
  const auto algorithm = GENERATE(hf::limit_algorithm::gradient, hf::limit_algorithm::vegas,
                                  hf::limit_algorithm::aimd);
  driver d({.algorithm = algorithm, .initial_limit = 20, .min_limit = 5, .max_limit = 40});
  std::mt19937_64 random(4);
  for (int i = 0; i < 20'000; ++i) {
    auto w = full(hf::duration(random() % 10'000'000'000 * (random() % 3)),
                  static_cast<unsigned>(random() % 50));
    w.samples = static_cast<unsigned>(random() % 3) * 100;
    w.dropped = random() % 4 == 0 ? random() % 300 : 0;
    w.admitted = random() % 300;
    w.refused = random() % 2 == 0;
    d.random = random();
    const unsigned limit = d.judge(w);
    REQUIRE(limit >= 5);
    REQUIRE(limit <= 40);
  }
}

TEST_CASE("the idle latency is measured at a lower limit, which then comes back",
          "[adaptive_limit]") {
  driver d({.initial_limit = 100, .measure_idle_every = 30s});
  CHECK(d.judge(full(80ms)) == 40);  // nothing is known yet: measured at once
  REQUIRE(d.controller.measuring());
  CHECK(d.controller.samples_wanted() == 30);
  CHECK(d.judge(full(50ms)) == 100);
  CHECK_FALSE(d.controller.measuring());
  CHECK(d.controller.idle() == 50ms);
  CHECK(d.controller.samples_wanted() == 10);
  int windows = 0;
  for (; !d.controller.measuring(); ++windows) d.judge(full(80ms));
  CHECK(windows == 30);
}

TEST_CASE("a queue that is still there is seen: the limit goes on down", "[adaptive_limit]") {
  driver d({.initial_limit = 100});
  d.judge(full(400ms));  // ten places at 40 ms
  CHECK(d.controller.limit() == 40);
  CHECK(d.judge(full(160ms)) == 16);
  CHECK(d.judge(full(64ms)) == 6);
  CHECK(d.judge(full(40ms)) == 16);  // and not back to where the queue was
  CHECK(d.controller.idle() == 40ms);
  CHECK_FALSE(d.controller.measuring());
}

TEST_CASE("measurements are not made where nobody is turned away and nothing is slow",
          "[adaptive_limit]") {
  driver d({.initial_limit = 100, .max_limit = 100});
  d.judge(light(50ms));
  auto content = full(52ms);
  content.refused = false;
  for (int i = 0; i < 500; ++i) {
    d.judge(content);
    REQUIRE_FALSE(d.controller.measuring());
  }
  content.refused = true;
  d.judge(content);
  CHECK(d.controller.measuring());
}

TEST_CASE("a limit that has fallen to half is reason enough to measure", "[adaptive_limit]") {
  driver d({.initial_limit = 100, .measure_idle_every = 24h});
  d.judge(full(80ms));
  d.judge(full(50ms));
  REQUIRE(d.controller.idle() == 50ms);
  int windows = 0;
  for (; !d.controller.measuring() && windows < 100; ++windows) d.judge(full(500ms));
  CHECK(windows < 15);
  d.judge(full(500ms));  // it is the service that is slow, whatever the limit
  CHECK(d.controller.idle() == 500ms);
}

TEST_CASE("measurements that agree are averaged, one far off replaces them", "[adaptive_limit]") {
  driver d({.initial_limit = 100, .measure_idle_every = 1s});
  const auto measure = [&](hf::duration idle) {
    while (!d.controller.measuring()) d.judge(full(80ms));
    d.judge(full(idle));
  };
  measure(50ms);
  measure(60ms);
  CHECK(d.controller.idle() == 55ms);
  measure(100ms);
  CHECK(d.controller.idle() == 100ms);
}

TEST_CASE("bug 47: measurements are jittered, so that clients do not make them together",
          "[conformance]") {
  std::mt19937_64 random(1);
  int earliest = 1000;
  int latest = 0;
  for (int client = 0; client < 200; ++client) {
    driver d({.initial_limit = 100, .measure_idle_every = 30s});
    d.random = random();
    d.judge(full(80ms));
    d.judge(full(50ms));
    int windows = 0;
    for (; !d.controller.measuring(); ++windows) d.judge(full(80ms));
    earliest = std::min(earliest, windows);
    latest = std::max(latest, windows);
  }
  CHECK(earliest >= 14);
  CHECK(earliest <= 17);
  CHECK(latest <= 45);
  CHECK(latest >= 43);
}

TEST_CASE("bug 47: a measurement without a sample changes nothing and is made again later",
          "[conformance]") {
  driver d({.initial_limit = 100});
  d.judge(full(80ms));
  d.judge(full(50ms));
  while (!d.controller.measuring()) d.judge(full(80ms));
  const unsigned lowered = d.controller.limit();
  d.judge({});
  CHECK(d.controller.limit() > lowered);
  CHECK(d.controller.idle() == 50ms);
  int windows = 0;
  for (; !d.controller.measuring() && windows < 100; ++windows) d.judge(full(80ms));
  CHECK(windows < 50);
}

TEST_CASE("reconfiguring keeps the limit and what was measured", "[adaptive_limit]") {
  driver d({.initial_limit = 100});
  d.judge(full(80ms));
  d.judge(full(50ms));
  REQUIRE(d.controller.limit() == 100);
  d.controller.reconfigure({.algorithm = hf::limit_algorithm::vegas, .initial_limit = 10});
  CHECK(d.controller.limit() == 100);
  CHECK(d.controller.idle() == 50ms);
  CHECK(d.judge(full(50ms)) == 106);
  d.controller.reconfigure({.initial_limit = 10, .max_limit = 60});
  CHECK(d.controller.limit() == 60);
  while (!d.controller.measuring()) d.judge(full(80ms));
  d.controller.reconfigure({.algorithm = hf::limit_algorithm::aimd, .max_limit = 60});
  CHECK_FALSE(d.controller.measuring());
}
