// SPDX-License-Identifier: BSL-1.0
// The counting of an adaptive limit, without an executor.
#include <atomic>
#include <catch2/catch_all.hpp>
#include <holdfast/detail/limit_core.hpp>
#include <holdfast/invalid_options.hpp>
#include <random>
#include <thread>
#include <vector>

namespace {

namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::detail::attention;
using hf::detail::limit_core;

/// Calls one after another, `in_flight` at a time, each of a given length.
struct driver {
  explicit driver(hf::adaptive_limit_options o) : core(std::move(o)) {}

  /// A batch of calls side by side; false where one of them is refused.
  bool batch(unsigned in_flight, hf::duration length, bool dropped = false) {
    std::vector<limit_core::admission> admitted;
    for (unsigned i = 0; i < in_flight; ++i) {
      const auto a = core.try_enter();
      if (a.in_flight == 0) {
        core.count_refusal();
        continue;
      }
      admitted.push_back(a);
    }
    const hf::time_point began = now;
    now += length;
    for (const auto& a : admitted) {
      const bool watched = a.watched == attention::timed;
      core.release();
      bool over = false;
      if (dropped) {
        over = core.add_drop(watched ? began : hf::time_point::min(), now, a.in_flight);
      } else if (watched) {
        ++timed;
        over = core.add_answer(began, now, a.in_flight);
      } else if (a.watched == attention::glance && core.may_be_due(now)) {
        over = core.look(now);
      }
      if (over) core.close_window(now, 0);
    }
    return admitted.size() == in_flight;
  }

  limit_core core;
  hf::time_point now{1h};
  unsigned timed = 0;
};

}  // namespace

TEST_CASE("adaptive limit: admits up to the limit and takes back", "[adaptive_limit]") {
  limit_core core({.initial_limit = 3});
  for (std::uint32_t i = 1; i <= 3; ++i) {
    const auto a = core.try_enter();
    CHECK(a.in_flight == i);
    CHECK(a.watched == attention::timed);
  }
  CHECK(core.try_enter().in_flight == 0);
  CHECK(core.in_flight() == 3);
  core.release();
  CHECK(core.in_flight() == 2);
  CHECK(core.try_enter().in_flight == 3);
  for (int i = 0; i < 3; ++i) core.release();
  CHECK(core.in_flight() == 0);
}

TEST_CASE("adaptive limit: windows close by time and by samples", "[adaptive_limit]") {
  driver d({.window = 1s, .min_samples = 10});
  d.batch(9, 100ms);
  CHECK(d.core.snapshot().windows == 0);
  d.now += 5s;  // time alone is not enough
  CHECK(d.core.snapshot().windows == 0);
  d.batch(1, 100ms);
  CHECK(d.core.snapshot().windows == 1);
  CHECK(d.core.snapshot().latency == 100ms);
  for (int i = 0; i < 9; ++i) d.batch(10, 100ms);  // samples alone neither
  CHECK(d.core.snapshot().windows == 1);
  d.batch(10, 100ms);
  CHECK(d.core.snapshot().windows == 2);
}

TEST_CASE("adaptive limit: windows are longer where calls take long", "[adaptive_limit]") {
  driver d({.window = 1s});
  d.batch(10, 4s);
  REQUIRE(d.core.snapshot().windows == 1);
  d.batch(10, 4s);
  d.batch(10, 4s);
  CHECK(d.core.snapshot().windows == 1);  // three times four seconds
  d.batch(10, 4s);
  CHECK(d.core.snapshot().windows == 2);
  d.batch(20, 2min);
  d.batch(20, 2min);
  CHECK(d.core.snapshot().windows == 4);  // but never more than a minute
}

TEST_CASE("adaptive limit: of much traffic a share is timed, of little all", "[adaptive_limit]") {
  driver d({.initial_limit = 20, .window = 1s});
  for (int i = 0; i < 100'000; ++i) d.batch(10, 100us);  // 100,000 a second for ten seconds
  CHECK(d.core.snapshot().windows >= 9);
  CHECK(d.core.snapshot().latency == 100us);
  d.timed = 0;
  for (int i = 0; i < 10'000; ++i) d.batch(10, 100us);
  CHECK(d.timed > 100);
  CHECK(d.timed < 1200);

  // A hundred thousandth of the traffic: the limit notices long before the next timed call comes.
  d.timed = 0;
  const auto before = d.core.snapshot().windows;
  for (int i = 0; i < 80; ++i) {
    d.now += 1s;
    d.batch(1, 100us);
  }
  CHECK(d.timed >= 63);
  CHECK(d.core.snapshot().windows >= before + 4);
}

TEST_CASE("adaptive limit: windows of nothing but drops are judged too", "[adaptive_limit]") {
  const auto algorithm = GENERATE(hf::limit_algorithm::gradient, hf::limit_algorithm::vegas,
                                  hf::limit_algorithm::aimd);
  driver d({.algorithm = algorithm, .initial_limit = 40});
  // Bug 47: no sample, no quantile.
  for (int i = 0; i < 20; ++i) d.batch(40, 300ms, true);
  CHECK(d.core.snapshot().windows > 3);
  CHECK(d.core.limit() < 30);
  CHECK(d.core.limit() >= 3);
  CHECK(d.core.snapshot().dropped > 100);
}

TEST_CASE("bug 47: calls from before a measurement do not count in it", "[conformance]") {
  driver d({.initial_limit = 20, .quantile = 0.9, .measure_idle_every = 1s});
  // Calls that began long ago and are still running.
  std::vector<limit_core::admission> old;
  const hf::time_point began = d.now;
  for (int i = 0; i < 5; ++i) old.push_back(d.core.try_enter());
  while (!d.core.snapshot().measuring_idle) d.batch(20, 100ms);
  REQUIRE(d.core.limit() == 8);
  for (const auto& a : old) {
    d.core.release();
    CHECK_FALSE(d.core.add_answer(began, d.now, a.in_flight));
  }
  while (d.core.snapshot().measuring_idle) d.batch(8, 60ms);
  CHECK(d.core.snapshot().idle_latency == 60ms);
}

TEST_CASE("bug 47: a measurement admits no more than its limit, whatever is still in flight",
          "[conformance]") {
  driver d({.initial_limit = 20, .measure_idle_every = 1s});
  while (!d.core.snapshot().measuring_idle) d.batch(20, 100ms);
  REQUIRE(d.core.limit() == 8);
  for (int i = 0; i < 8; ++i) CHECK(d.core.try_enter().in_flight != 0);
  CHECK(d.core.try_enter().in_flight == 0);
  for (int i = 0; i < 8; ++i) d.core.release();
}

TEST_CASE("bug 21: a clock that jumps does no harm", "[conformance]") {
  driver d({.initial_limit = 20});
  for (int i = 0; i < 20; ++i) d.batch(10, 100ms);
  d.now -= 30min;
  for (int i = 0; i < 20; ++i) d.batch(10, -50ms);
  CHECK(d.core.limit() >= 3);
  d.now += 24h;
  const auto before = d.core.snapshot().windows;
  for (int i = 0; i < 40; ++i) d.batch(10, 100ms);
  CHECK(d.core.snapshot().windows > before);
  CHECK(d.core.in_flight() == 0);
}

TEST_CASE("adaptive limit: reconfigured under load", "[adaptive_limit]") {
  limit_core core({.name = "db", .initial_limit = 20});
  for (int i = 0; i < 20; ++i) REQUIRE(core.try_enter().in_flight != 0);
  CHECK_THROWS_AS(core.reconfigure({.min_limit = 0}), hf::invalid_options);
  CHECK(core.limit() == 20);
  core.reconfigure({.name = "other", .initial_limit = 10, .max_limit = 10});
  CHECK(core.name() == "db");
  CHECK(core.limit() == 10);
  CHECK(core.in_flight() == 20);
  for (int i = 0; i < 10; ++i) core.release();
  CHECK(core.try_enter().in_flight == 0);
  core.release();
  CHECK(core.try_enter().in_flight == 10);
  for (int i = 0; i < 10; ++i) core.release();
  CHECK(core.in_flight() == 0);
}

TEST_CASE("adaptive limit: every option out of range is refused", "[options]") {
  using o = hf::adaptive_limit_options;
  const auto faults = [](const o& options) -> std::vector<std::string> {
    try {
      limit_core core(options);
    } catch (const hf::invalid_options& e) {
      return e.faults();
    }
    return {};
  };
  CHECK(faults({}).empty());
  CHECK(faults({.min_limit = 0}).size() == 1);
  CHECK(faults({.initial_limit = 2, .min_limit = 3}).size() == 1);
  CHECK(faults({.initial_limit = 2000}).size() == 1);
  CHECK(faults({.max_limit = 1'000'001}).size() == 1);
  CHECK(faults({.initial_limit = 8, .min_limit = 8, .max_limit = 7}).size() == 1);
  CHECK(faults({.window = 999us}).size() == 1);
  CHECK(faults({.min_samples = 0}).size() == 1);
  CHECK(faults({.min_samples = 101}).size() == 1);
  for (const double bad : {0.0, 1.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
    CHECK(faults({.quantile = bad}).size() == 1);
  }
  CHECK(faults({.tolerance = 0.99}).size() == 1);
  CHECK(faults({.smoothing = 0.0}).size() == 1);
  CHECK(faults({.smoothing = 1.0}).empty());
  CHECK(faults({.smoothing = 1.01}).size() == 1);
  CHECK(faults({.window = 2s, .measure_idle_every = 1s}).size() == 1);
  CHECK(faults({.measure_idle_every = hf::duration::max()}).empty());
  CHECK(faults({.backoff = 1.0}).size() == 1);
  CHECK(faults({.increase = 0}).size() == 1);
  CHECK(faults({.slow_after = -1s}).size() == 1);
  CHECK(faults({.min_limit = 0, .window = 0s, .min_samples = 0}).size() == 3);
}

TEST_CASE("adaptive limit: prints every option", "[describe]") {
  const auto text = [](hf::adaptive_limit_options o) {
    std::string out;
    limit_core(std::move(o)).describe(out);
    return out;
  };
  CHECK(text({.name = "gpt-4"}) ==
        "adaptive_limit 'gpt-4': gradient, 3 to 1000 at once from 20, judged every 1s by quantile "
        "0.5 "
        "of at least 10 samples, up to 1.5 times the idle latency, 30 % of a correction at once, "
        "idle "
        "latency measured every 30s");
  CHECK(
      text({.algorithm = hf::limit_algorithm::vegas}) ==
      "adaptive_limit '': vegas, 3 to 1000 at once from 20, judged every 1s by quantile 0.5 of at "
      "least 10 samples, idle latency measured every 30s");
  CHECK(text({.algorithm = hf::limit_algorithm::aimd, .slow_after = 2s}) ==
        "adaptive_limit '': aimd, 3 to 1000 at once from 20, judged every 1s by quantile 0.5 of at "
        "least 10 samples, plus 1 or times 0.9 where calls are dropped or slower than 2s");
  CHECK(to_string(hf::limit_algorithm::gradient) == "gradient");
  CHECK(to_string(static_cast<hf::limit_algorithm>(99)) == "unknown");
}

TEST_CASE("adaptive limit: threads never hold more places than the limit",
          "[adaptive_limit][threads]") {
  // Real threads; the limit stands still, as its windows never end.
  constexpr unsigned limit = 3;
  limit_core core({.initial_limit = limit, .window = 24h, .measure_idle_every = 24h});
  std::atomic<unsigned> held{0};
  std::atomic<bool> exceeded{false};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 20'000; ++i) {
          if (core.try_enter().in_flight == 0) continue;
          if (held.fetch_add(1) >= limit) exceeded = true;
          held.fetch_sub(1);
          core.release();
        }
      });
    }
  }
  CHECK_FALSE(exceeded);
  CHECK(core.in_flight() == 0);
}
