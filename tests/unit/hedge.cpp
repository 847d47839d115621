// SPDX-License-Identifier: BSL-1.0
// What decides a hedge, without an executor: the plan of the race and the live percentile.
#include <algorithm>
#include <catch2/catch_all.hpp>
#include <cmath>
#include <holdfast/detail/hedge_core.hpp>
#include <holdfast/detail/hedge_plan.hpp>
#include <holdfast/detail/latency_tracker.hpp>
#include <holdfast/invalid_options.hpp>
#include <random>
#include <vector>

namespace hf = holdfast;
using hf::verdict;
using hf::detail::hedge_plan;
using hf::detail::latency_tracker;
using namespace std::chrono_literals;

namespace {

constexpr hf::time_point start{1000s};

}  // namespace

TEST_CASE("the first answer settles the race", "[hedge]") {
  hedge_plan plan(3);
  CHECK(plan.start() == 0);
  CHECK(plan.start() == 1);
  CHECK(plan.may_start());
  CHECK_FALSE(plan.end(1, verdict::success));
  CHECK(plan.settled());
  CHECK(plan.answered());
  CHECK_FALSE(plan.may_start());
  CHECK_FALSE(plan.over());  // the first still runs
  CHECK_FALSE(plan.end(0, verdict::success));
  CHECK(plan.over());
  CHECK(plan.chosen() == 1u);
}

TEST_CASE("a failed attempt is followed by the next at once, as long as there is one", "[hedge]") {
  hedge_plan plan(2);
  plan.start();
  CHECK(plan.end(0, verdict::failure));
  plan.start();
  CHECK_FALSE(plan.end(1, verdict::failure));
  CHECK(plan.over());
  CHECK(plan.chosen() == 0u);  // the first failure of the service
  CHECK_FALSE(plan.answered());
}

TEST_CASE("an attempt that was turned away is not followed at once", "[hedge]") {
  const auto v = GENERATE(verdict::throttled, verdict::overloaded, verdict::neutral);
  hedge_plan plan(2);
  plan.start();
  CHECK_FALSE(plan.end(0, v));
  CHECK(plan.over());
}

TEST_CASE("a fault of the request ends the race: every attempt would find it", "[hedge]") {
  hedge_plan plan(3);
  plan.start();
  plan.start();
  CHECK_FALSE(plan.end(1, verdict::request_fault));
  CHECK(plan.settled());
  CHECK_FALSE(plan.answered());
  CHECK(plan.chosen() == 1u);
}

TEST_CASE("a failure of the service says more than a refusal", "[hedge]") {
  hedge_plan plan(2);
  plan.start();
  plan.start();
  plan.end(0, verdict::neutral);
  plan.end(1, verdict::failure);
  CHECK(plan.chosen() == 1u);
}

TEST_CASE("of attempts that were all turned away the first counts", "[hedge]") {
  hedge_plan plan(2);
  plan.start();
  plan.start();
  plan.end(1, verdict::neutral);
  CHECK(plan.chosen() == 1u);
  plan.end(0, verdict::neutral);
  CHECK(plan.chosen() == 1u);
  CHECK_FALSE(plan.settled());
}

TEST_CASE("a race may be settled from outside: what still runs has lost", "[hedge]") {
  hedge_plan plan(3);
  plan.start();
  plan.settle();
  CHECK(plan.settled());
  CHECK_FALSE(plan.may_start());
  CHECK_FALSE(plan.end(0, verdict::failure));
  CHECK_FALSE(plan.chosen());
  CHECK(plan.over());
}

TEST_CASE("percentiles are exact to an eighth, and never below the true one", "[hedge]") {
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> milliseconds(3.0, 1.0);
  latency_tracker tracker(60s);
  std::vector<hf::duration> all;
  for (int i = 0; i < 5000; ++i) {
    const auto d = std::chrono::round<hf::duration>(
        std::chrono::duration<double, std::milli>(milliseconds(random)));
    all.push_back(d);
    tracker.record(d, start);
  }
  std::ranges::sort(all);
  for (const double q : {0.1, 0.5, 0.9, 0.95, 0.99, 0.999}) {
    const auto exact = all[static_cast<std::size_t>(std::ceil(q * 5000.0)) - 1];
    const auto found = tracker.quantile(q, 1, start);
    REQUIRE(found);
    CHECK(*found >= exact);
    CHECK(static_cast<double>(found->count()) <= 1.125 * static_cast<double>(exact.count()) + 2048);
  }
}

TEST_CASE("latencies of every size have their bucket", "[hedge]") {
  for (const hf::duration d : {hf::duration(-5), hf::duration(0), hf::duration(1),
                               hf::duration(1ms), hf::duration(1h), hf::duration::max()}) {
    latency_tracker tracker(60s);
    tracker.record(d, start);
    const auto found = tracker.quantile(0.5, 1, start);
    REQUIRE(found);
    CHECK(*found > 0ns);
    if (d <= 1h) CHECK(*found >= d);
  }
}

TEST_CASE("latencies are told apart up to nearly five hours, and beyond that are one", "[hedge]") {
  const auto [latency, found] = GENERATE(
      table<hf::duration, hf::duration>({{4h + 30min, hf::duration(std::int64_t{15} << 40)},
                                         {4h + 45min, hf::duration(std::int64_t{16} << 40)},
                                         {5h, hf::duration(std::int64_t{16} << 40)}}));
  latency_tracker tracker(60s);
  tracker.record(latency, start);
  CHECK(tracker.quantile(0.5, 1, start) == found);
}

TEST_CASE("the shortest windows forget as well", "[hedge]") {
  const hf::duration window = GENERATE(1ns, 2ns, 3ns);
  latency_tracker tracker(window);
  tracker.record(1s, start);
  CHECK(tracker.quantile(0.5, 1, start));
  CHECK_FALSE(tracker.quantile(0.5, 1, start + std::max<hf::duration>(window, 2ns)));
}

TEST_CASE("latencies are forgotten when their window is over", "[hedge]") {
  latency_tracker tracker(10s);
  for (int i = 0; i < 10; ++i) tracker.record(1s, start);
  CHECK(tracker.quantile(0.5, 10, start));
  CHECK_FALSE(tracker.quantile(0.5, 11, start));
  CHECK(tracker.quantile(0.5, 10, start + 4s));
  CHECK_FALSE(tracker.quantile(0.5, 1, start + 10s));
  // A long silence clears both halves, whatever their parity.
  tracker.record(1s, start + 11s);
  CHECK_FALSE(tracker.quantile(0.5, 1, start + 36s));
  CHECK_FALSE(tracker.quantile(0.5, 1, start + 41s));
  // A clock that went back counts into what there is.
  tracker.record(1s, start);
  CHECK(tracker.quantile(0.5, 1, start + 41s));
}

TEST_CASE("the delay is the live percentile, once there are enough latencies", "[hedge]") {
  hf::detail::hedge_core core({.delay = 2s,
                               .percentile = 0.95,
                               .window = 10s,
                               .minimum_samples = 20,
                               .minimum_delay = 50ms});
  const auto rules = core.current();
  CHECK(core.delay(*rules, start) == 2s);
  for (int i = 0; i < 95; ++i) core.record(*rules, 100ms, start);
  for (int i = 0; i < 5; ++i) core.record(*rules, 1s, start);
  CHECK(core.delay(*rules, start + 50ms) == 2s);  // read every hundredth of the window
  const auto live = core.delay(*rules, start + 100ms);
  CHECK(live >= 100ms);
  CHECK(live <= 113ms);
  // The floor.
  for (int i = 0; i < 10000; ++i) core.record(*rules, 1ms, start + 200ms);
  CHECK(core.delay(*rules, start + 300ms) == 50ms);
}

TEST_CASE("new options keep the latencies of the same window", "[hedge]") {
  hf::hedge hedge({.delay = 2s, .percentile = 0.5, .window = 10s, .minimum_samples = 1});
  const auto core = hedge.core();
  core->record(*core->current(), 300ms, start);
  hedge.reconfigure({.delay = 5s, .percentile = 0.9, .window = 10s, .minimum_samples = 1});
  CHECK(hedge.snapshot(start).delay < 1s);
  hedge.reconfigure({.delay = 5s, .percentile = 0.9, .window = 20s, .minimum_samples = 1});
  CHECK(hedge.snapshot(start).delay == 5s);
  CHECK_THROWS_AS(hedge.reconfigure({.max_hedges = 0}), hf::invalid_options);
  CHECK(hedge.snapshot(start).delay == 5s);
}

TEST_CASE("every option out of range is named", "[hedge]") {
  try {
    hf::hedge({.name = "h",
               .delay = -1s,
               .percentile = 1.0,
               .window = 0s,
               .minimum_samples = 0,
               .minimum_delay = -1s,
               .max_hedges = 5});
    FAIL("no exception");
  } catch (const hf::invalid_options& e) {
    for (const char* option : {"hedge 'h'", "delay", "percentile", "window", "minimum_samples",
                               "minimum_delay", "max_hedges"}) {
      CHECK_THAT(e.what(), Catch::Matchers::ContainsSubstring(option));
    }
  }
}
