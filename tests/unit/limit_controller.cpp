// SPDX-License-Identifier: BSL-1.0
// The controller around the algorithms: when the idle latency is measured, and what comes of it.
#include <algorithm>
#include <catch2/catch_all.hpp>
#include <cmath>
#include <holdfast/detail/limit_controller.hpp>
#include <random>

namespace {

namespace hf = holdfast;
using namespace std::chrono_literals;
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

limit_window nothing_but_drops() {
  return {.admitted = 100, .dropped = 100, .peak_in_flight = 100, .refused = true};
}

/// A window that leaves a Vegas limit as it is, where 50 ms are the idle latency.
limit_window steady(double limit) {
  const double queue = 4.5 * std::max(1.0, std::log10(limit));
  return full(hf::duration(static_cast<hf::duration::rep>(50e6 * limit / (limit - queue))));
}

/// Drives a controller, a second for each window.
struct driver {
  explicit driver(hf::adaptive_limit_options o) : controller(o) {}
  unsigned judge(const limit_window& w) {
    now += 1s;
    controller.on_window(w, now, random);
    return controller.limit();
  }
  /// How many such windows it takes until the idle latency is measured; no more are tried than
  /// `most`.
  int until_measuring(const limit_window& w, int most = 1000) {
    int windows = 0;
    for (; !controller.measuring() && windows < most; ++windows) judge(w);
    return windows;
  }
  limit_controller controller;
  hf::time_point now{1h};
  std::uint64_t random = std::uint64_t{1} << 63;  // no jitter
};

}  // namespace

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
  CHECK(d.controller.measurements() == 1);
  CHECK(d.controller.samples_wanted() == 10);
  CHECK(d.until_measuring(full(80ms)) == 30);
  d.judge(full(50ms));
  CHECK(d.controller.measurements() == 2);
}

TEST_CASE("as long as the idle latency is unknown it is measured at once, not when it is time",
          "[adaptive_limit]") {
  driver d({.initial_limit = 100});
  d.judge(full(80ms));
  CHECK(d.judge({}) == 100);  // a measurement without a sample
  CHECK(d.controller.measurements() == 1);
  REQUIRE(d.controller.idle() == 0ns);
  CHECK(d.judge(full(80ms)) == 40);
  CHECK(d.controller.measuring());
}

TEST_CASE("a limit that may not be lowered is as idle as it gets: its latency is the idle one",
          "[adaptive_limit]") {
  driver d({.initial_limit = 3, .min_limit = 3});
  CHECK(d.judge(full(80ms)) == 3);
  CHECK_FALSE(d.controller.measuring());
  CHECK(d.controller.idle() == 80ms);
  CHECK(d.controller.measurements() == 1);
}

TEST_CASE("AIMD needs no idle latency, so it is not measured", "[adaptive_limit]") {
  driver d({.algorithm = hf::limit_algorithm::aimd, .initial_limit = 100});
  CHECK(d.judge(full(80ms)) == 101);
  CHECK(d.judge(light(80ms)) == 101);
  CHECK(d.controller.idle() == 0ns);
  CHECK(d.controller.measurements() == 0);
}

TEST_CASE("a window of nothing but drops says nothing of the idle latency", "[adaptive_limit]") {
  driver d({.initial_limit = 100});
  CHECK(d.judge(nothing_but_drops()) == 50);  // and is no reason to measure it
  d.judge(light(50ms));
  d.judge(nothing_but_drops());
  CHECK(d.controller.idle() == 50ms);
}

TEST_CASE("light traffic tells the idle latency, be it with a single call", "[adaptive_limit]") {
  driver d({.initial_limit = 100});
  auto w = light(50ms);
  w.samples = 1;
  d.judge(w);
  CHECK(d.controller.idle() == 50ms);
  CHECK(d.controller.measurements() == 0);
}

TEST_CASE("light traffic puts the next measurement off", "[adaptive_limit]") {
  driver d({.initial_limit = 100, .measure_idle_every = 30s});
  d.judge(light(50ms));
  d.until_measuring(full(80ms), 20);
  d.judge(light(50ms));
  CHECK(d.until_measuring(full(80ms)) == 30);
}

TEST_CASE("the idle latency follows light traffic, by a fifth where there are samples enough",
          "[adaptive_limit]") {
  const auto [samples, idle] = GENERATE(table<unsigned, hf::duration>(
      {{1, 50'200us}, {25, 55ms}, {50, 60ms}, {51, 60ms}, {200, 60ms}}));
  driver d({.initial_limit = 100});
  d.judge(light(50ms));
  auto w = light(100ms);
  w.samples = samples;
  d.judge(w);
  CHECK(d.controller.idle() == idle);
}

TEST_CASE("what is faster than the idle latency lowers it, however busy it is",
          "[adaptive_limit]") {
  driver d({.initial_limit = 100});
  d.judge(light(50ms));
  d.judge(full(40ms));
  CHECK(d.controller.idle() == 48ms);
  CHECK_FALSE(d.controller.measuring());
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

TEST_CASE("a latency that falls with the limit, or a tenth less, is still that of a queue",
          "[adaptive_limit]") {
  driver d({.initial_limit = 22});
  REQUIRE(d.judge(full(100ms)) == 8);
  driver less = d;
  CHECK(d.judge(full(40ms)) == 3);  // 8 of 22, and a tenth of that
  CHECK(d.controller.measuring());
  less.judge(full(40ms + 1ns));
  CHECK_FALSE(less.controller.measuring());
  CHECK(less.controller.idle() == 40ms + 1ns);
}

TEST_CASE("a measurement ends at the least limit, whatever queue is left", "[adaptive_limit]") {
  driver d({.initial_limit = 100, .min_limit = 40});
  REQUIRE(d.judge(full(100ms)) == 40);
  CHECK(d.judge(full(40ms)) == 100);
  CHECK_FALSE(d.controller.measuring());
  CHECK(d.controller.idle() == 40ms);
}

TEST_CASE("the limit comes back whole unless the last step took three tenths off the latency",
          "[adaptive_limit]") {
  const auto [idle, limit] =
      GENERATE(table<hf::duration, unsigned>({{150ms, 100}, {112ms, 100}, {112ms - 1ns, 40}}));
  driver d({.initial_limit = 100});
  d.judge(full(400ms));
  REQUIRE(d.judge(full(160ms)) == 16);
  CHECK(d.judge(full(idle)) == limit);
  CHECK(d.controller.idle() == idle);
}

TEST_CASE("latencies at the resolution of the clock are measured like others", "[adaptive_limit]") {
  driver d({.initial_limit = 100});
  SECTION("a nanosecond is not less than a nanosecond") {
    d.judge(full(3ns));
    REQUIRE(d.judge(full(1ns)) == 16);
    CHECK(d.judge(full(1ns)) == 100);
  }
  SECTION("calls that take no time have an idle latency all the same") {
    for (const unsigned limit : {40u, 16u, 6u, 3u, 6u}) CHECK(d.judge(full(0ns)) == limit);
    CHECK_FALSE(d.controller.measuring());
    CHECK(d.controller.idle() == 1ns);
    d.judge(light(0ns));
  }
  CHECK(d.controller.idle() == 1ns);
}

TEST_CASE("measurements are not made where nobody is turned away and nothing is slow",
          "[adaptive_limit]") {
  driver d({.initial_limit = 100, .max_limit = 100});
  d.judge(light(50ms));
  auto content = full(55ms);  // a tenth more is not slow
  content.refused = false;
  d.until_measuring(content, 500);
  REQUIRE_FALSE(d.controller.measuring());
  SECTION("until somebody is turned away") { content.refused = true; }
  SECTION("until something is slow") { content.latency += 1ns; }
  d.judge(content);
  CHECK(d.controller.measuring());
}

TEST_CASE("a limit that has fallen to half is reason enough to measure", "[adaptive_limit]") {
  driver d({.initial_limit = 100, .measure_idle_every = 24h});
  d.judge(full(80ms));
  d.judge(full(50ms));
  REQUIRE(d.controller.idle() == 50ms);
  CHECK(d.until_measuring(full(500ms)) < 15);
  d.judge(full(500ms));  // it is the service that is slow, whatever the limit
  CHECK(d.controller.idle() == 500ms);
}

TEST_CASE("five windows in a row at half the limit of the last measurement, and it is made anew",
          "[adaptive_limit]") {
  driver d(
      {.algorithm = hf::limit_algorithm::vegas, .initial_limit = 100, .measure_idle_every = 24h});
  d.judge(full(80ms));
  d.judge(full(50ms));
  for (const unsigned half : {50u, 25u}) {
    REQUIRE(d.judge(steady(2 * half)) == 2 * half);
    REQUIRE(d.judge(nothing_but_drops()) == half);
    CHECK(d.until_measuring(steady(half)) == 5);
    CHECK(d.judge(full(50ms)) == half);
    CHECK_FALSE(d.controller.measuring());
  }
  // Falls at once, with no window in between that begins the count anew.
  REQUIRE(d.judge(nothing_but_drops()) == 12);
  CHECK(d.until_measuring(steady(12.5)) == 5);
}

TEST_CASE("measurements that agree are averaged, one far off replaces them", "[adaptive_limit]") {
  driver d({.initial_limit = 100, .measure_idle_every = 1s});
  const auto measure = [&](hf::duration idle) {
    d.until_measuring(full(80ms));
    d.judge(full(idle));
  };
  measure(50ms);
  measure(60ms);
  CHECK(d.controller.idle() == 55ms);
  measure(100ms);
  CHECK(d.controller.idle() == 100ms);
  measure(140ms);  // four tenths more is not yet far off
  CHECK(d.controller.idle() == 120ms);
  measure(168ms + 1ns);
  CHECK(d.controller.idle() == 168ms + 1ns);
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
    const int windows = d.until_measuring(full(80ms));
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
  d.until_measuring(full(80ms));
  const unsigned lowered = d.controller.limit();
  d.judge({});
  CHECK(d.controller.limit() > lowered);
  CHECK(d.controller.idle() == 50ms);
  CHECK(d.until_measuring(full(80ms)) == 30);
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
  d.until_measuring(full(80ms));
  d.controller.reconfigure({.algorithm = hf::limit_algorithm::aimd, .max_limit = 60});
  CHECK_FALSE(d.controller.measuring());
}

TEST_CASE("reconfiguring puts the limit between its new bounds at once, that of a measurement too",
          "[adaptive_limit]") {
  const bool measuring = GENERATE(false, true);
  driver d({.initial_limit = 100, .min_limit = 10});
  d.judge(measuring ? full(80ms) : light(80ms));
  REQUIRE(d.controller.limit() == (measuring ? 40 : 100));
  d.controller.reconfigure({.min_limit = 120});
  CHECK(d.controller.limit() == 120);
  d.controller.reconfigure({.max_limit = 30});
  CHECK(d.controller.limit() == 30);
  CHECK(d.controller.measuring() == measuring);
}

TEST_CASE("reconfiguring changes how many samples are wanted, and how often it is measured",
          "[adaptive_limit]") {
  driver d({.initial_limit = 100, .min_samples = 10, .measure_idle_every = 30s});
  d.controller.reconfigure({.min_samples = 50, .measure_idle_every = 60s});
  CHECK(d.controller.samples_wanted() == 50);
  d.judge(light(50ms));
  CHECK(d.until_measuring(full(80ms)) == 60);
  CHECK(d.controller.samples_wanted() == 50);
}

TEST_CASE("a least limit that is raised during a measurement holds after it", "[adaptive_limit]") {
  driver d({.initial_limit = 100});
  d.judge(full(400ms));
  REQUIRE(d.judge(full(160ms)) == 16);
  d.controller.reconfigure({.min_limit = 50});
  CHECK(d.judge(full(64ms)) == 50);
  CHECK(d.judge(light(40ms)) == 50);
}
