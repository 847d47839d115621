// SPDX-License-Identifier: BSL-1.0
// The rate limiter as a whole, without an executor: options, handle, counters, threads.
#include <atomic>
#include <catch2/catch_all.hpp>
#include <holdfast/invalid_options.hpp>
#include <holdfast/policy/rate_limiter.hpp>
#include <limits>
#include <thread>
#include <vector>

namespace hf = holdfast;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using options = hf::rate_limiter_options;
using hf::limiter_algorithm;

namespace {

constexpr hf::time_point start{1h};
hf::time_point at(hf::duration d) { return start + d; }

std::vector<std::string> faults(options o) {
  try {
    hf::rate_limiter l(std::move(o));
  } catch (const hf::invalid_options& e) {
    return e.faults();
  }
  return {};
}
using list = std::vector<std::string>;

}  // namespace

TEST_CASE("rate limiter: every option out of range is refused", "[rate_limiter]") {
  CHECK(faults({}).empty());
  CHECK(faults({.permits = 0}) == list{"permits = 0: must be at least 1"});
  CHECK(faults({.period = 0s}) == list{"period = 0s: must be at least 1ns"});
  CHECK(faults({.period = -1s}) == list{"period = -1s: must be at least 1ns"});
  CHECK(faults({.period = 24h * 366}) == list{"period = 31622400s: must be at most 365 days"});
  CHECK(faults({.permits = 1001, .period = 1us}) ==
        list{"permits = 1001: must be at most one per nanosecond"});
  CHECK(faults({.permits = 1, .period = 1h, .burst = 24 * 365}).empty());
  CHECK(faults({.permits = 1, .period = 1h, .burst = 24 * 365 + 1}) ==
        list{"burst = 8761: must refill within 365 days"});
  CHECK(faults({.permits = 1, .period = 1ns}).empty());
  CHECK(faults({.permits = 2, .period = 1ns}) ==
        list{"permits = 2: must be at most one per nanosecond"});
  CHECK(faults({.permits = 0, .burst = 5}) == list{"permits = 0: must be at least 1"});
  CHECK(faults({.permits = 1, .period = 24h * 365, .burst = 2}) ==
        list{"burst = 2: must refill within 365 days"});
  CHECK(faults({.permits = 1000, .period = 1us}).empty());
  CHECK(faults({.permits = 1, .period = 24h * 365}).empty());
  CHECK(faults({.max_wait = 24h * 365, .max_hint = 24h * 365}).empty());
  CHECK(faults({.max_hint = 24h * 366}) ==
        list{"max_hint = 31622400s: must be at most 365 days"});
  CHECK(faults({.max_wait = -1s}) == list{"max_wait = -1s: must be at least 0s"});
  CHECK(faults({.max_wait = hf::duration::max()}) ==
        list{"max_wait = forever: must be at most 365 days"});
  CHECK(faults({.max_hint = -1s}) == list{"max_hint = -1s: must be at least 0s"});
  CHECK(faults({.burst = 5, .algorithm = limiter_algorithm::sliding_window}) ==
        list{"burst = 5: must be 0 with a sliding window"});
  CHECK(faults({.permits = 0, .period = -1s, .max_wait = -1s, .max_hint = -1s}).size() == 4);
  CHECK_THROWS_WITH(hf::rate_limiter(options{.name = "gpt-4", .permits = 0}),
                    ContainsSubstring("rate limiter 'gpt-4'"));
}

TEST_CASE("bug 29: a limit of zero is refused, and does not mean unlimited",
          "[conformance][rate_limiter]") {
  CHECK_FALSE(faults({.permits = 0}).empty());
  CHECK_FALSE(faults({.permits = 0, .algorithm = limiter_algorithm::sliding_window}).empty());
  // A burst of zero means as many as the permits, and is bounded like any other.
  hf::rate_limiter l(options{.permits = 3, .burst = 0});
  unsigned admitted = 0;
  for (int i = 0; i < 100; ++i) admitted += l.try_acquire(1, at(0s)) ? 1 : 0;
  CHECK(admitted == 3);
}

TEST_CASE("rate limiter: the names of the algorithms", "[rate_limiter]") {
  CHECK(hf::to_string(limiter_algorithm::gcra) == "gcra");
  CHECK(hf::to_string(limiter_algorithm::sliding_window) == "sliding_window");
  CHECK(hf::to_string(static_cast<limiter_algorithm>(9)) == "unknown");
  CHECK(hf::to_string(hf::policy_kind::rate_limiter) == "rate_limiter");
}

TEST_CASE("rate limiter: reserve, settle and refund by hand", "[rate_limiter]") {
  const auto algorithm = GENERATE(limiter_algorithm::gcra, limiter_algorithm::sliding_window);
  hf::rate_limiter l(options{.name = "tpm",
                             .permits = 1000,
                             .period = 1s,
                             .algorithm = algorithm,
                             .max_wait = 2s});
  const auto available = [&](hf::duration d) { return l.snapshot(at(d)).available; };
  const auto first = l.reserve(800, at(0s), at(0s));
  REQUIRE(first);
  CHECK(first.at == at(0s));
  CHECK(available(0s) == 200);
  SECTION("less was used") {
    l.settle(first, 300, at(10ms));
    CHECK(available(10ms) >= 700);
    CHECK(available(10ms) <= 710);
  }
  SECTION("nothing was used") {
    l.refund(first, at(0s));
    CHECK(available(0s) == 1000);
  }
  SECTION("more was used") {
    l.settle(first, 1100, at(0s));
    CHECK(available(0s) == 0);
    CHECK_FALSE(l.try_acquire(1, at(10ms)));
  }
  SECTION("a reservation for later, given back") {
    const auto second = l.reserve(700, at(2s), at(0s));
    REQUIRE(second);
    CHECK(second.at > at(0s));
    CHECK(second.at <= at(1s));
    l.refund(second, at(0s));
    CHECK(l.reserve(700, at(2s), at(0s)).at == second.at);
  }
  SECTION("one that is too late takes nothing") {
    const auto late = l.reserve(700, at(100ms), at(0s));
    CHECK_FALSE(late);
    CHECK(late.at > at(100ms));
    CHECK(l.refused() == 1);
    l.settle(late, 5000, at(0s));
    l.refund(late, at(0s));
    CHECK(available(0s) == 200);
    CHECK_FALSE(l.reserve(1001, at(2s), at(0s)));
    CHECK(l.reserve(1001, at(2s), at(0s)).at == hf::never);
  }
  SECTION("max_wait bounds every reservation") {
    REQUIRE(l.reserve(1000, hf::never, at(0s)));
    CHECK(l.reserve(1000, hf::never, at(0s)).at <= at(2s));
    CHECK_FALSE(l.reserve(1000, hf::never, at(0s)).granted);
  }
}

TEST_CASE("rate limiter: hints of the service", "[rate_limiter]") {
  const auto algorithm = GENERATE(limiter_algorithm::gcra, limiter_algorithm::sliding_window);
  hf::rate_limiter l(
      options{.permits = 10, .period = 10s, .algorithm = algorithm, .max_hint = 30s});
  SECTION("so many remain") {
    l.hint(4, 10s, at(0s));
    CHECK(l.snapshot(at(0s)).available == 4);
    l.hint(9, 10s, at(0s));
    CHECK(l.snapshot(at(0s)).available == 4);
  }
  SECTION("none remain") {
    l.hint(0, 7s, at(0s));
    CHECK(l.snapshot(at(1s)).available == 0);
    CHECK(l.snapshot(at(1s)).held_for == 6s);
    CHECK(l.snapshot(at(1s)).next_free == 6s);
    l.hint(0, 2s, at(0s));
    CHECK_FALSE(l.try_acquire(1, at(7s - 1ns)));
    CHECK(l.try_acquire(1, at(7s)));
  }
  SECTION("never longer than max_hint") {
    l.hint(0, 24h, at(0s));
    CHECK(l.snapshot(at(0s)).held_for == 30s);
  }
  SECTION("ignored") {
    hf::rate_limiter deaf(
        options{.permits = 10, .period = 10s, .algorithm = algorithm, .max_hint = 0s});
    deaf.hint(0, 7s, at(0s));
    deaf.hint(1, 7s, at(0s));
    CHECK(deaf.snapshot(at(0s)).available == 10);
  }
}

TEST_CASE("rate limiter: reconfigured while permits are out", "[rate_limiter]") {
  hf::rate_limiter l(options{.name = "api", .permits = 10, .period = 1s, .burst = 10});
  for (int i = 0; i < 6; ++i) REQUIRE(l.try_acquire(1, at(0s)));
  REQUIRE_FALSE(l.try_acquire(5, at(0s)));
  l.reconfigure({.name = "other", .permits = 100, .period = 1s, .burst = 20}, at(0s));
  CHECK(l.snapshot(at(0s)).available == 4);
  CHECK(l.refused() == 1);
  CHECK(l.name() == "api");
  std::string text;
  l.core()->describe(text);
  CHECK_THAT(text, ContainsSubstring("'api': 100 permits per 1s, burst 20"));
  CHECK(l.core()->plan().options.name == "api");
  CHECK(l.snapshot(at(0s)).refused == 1);
  // Wrong options change nothing.
  CHECK_THROWS_AS(l.reconfigure({.permits = 0}, at(0s)), hf::invalid_options);
  CHECK_THROWS_AS(l.reconfigure({.algorithm = limiter_algorithm::sliding_window}, at(0s)),
                  hf::invalid_options);
  CHECK(l.snapshot(at(0s)).available == 4);
}

TEST_CASE("rate limiter: a longer window is as fine as if it had been made so", "[rate_limiter]") {
  options o{.permits = 100,
            .period = 1s,
            .algorithm = limiter_algorithm::sliding_window,
            .max_hint = 0s};
  hf::rate_limiter l(o);
  o.period = 100s;
  l.reconfigure(o, at(0s));
  for (int i = 0; i < 100; ++i) REQUIRE(l.try_acquire(1, at(i * 1s)));
  CHECK(l.snapshot(at(100s)).available <= 1);
  CHECK(l.snapshot(at(153s)).available >= 50);
}

TEST_CASE("rate limiter: one place in the queue is said to be one", "[rate_limiter]") {
  const hf::rate_limiter l(options{.permits = 1, .max_wait = 1s, .max_waiting = 1});
  std::string text;
  l.core()->describe(text);
  CHECK_THAT(text, ContainsSubstring(", 1 may wait for 1s"));
}

TEST_CASE("rate limiter: who is admitted at once is charged once", "[rate_limiter]") {
  hf::detail::limiter_core l(options{.permits = 1, .period = 1s, .burst = 3, .max_wait = 10s});
  CHECK(l.book_and_wait(1, at(0s), hf::never).what == hf::detail::booking::kind::admitted);
  CHECK(l.snapshot(at(0s)).available == 2);
  CHECK(l.snapshot(at(0s)).waiting == 0);
}

TEST_CASE("rate limiter: a plan has room for what is booked under the one before",
          "[rate_limiter]") {
  using hf::detail::limiter_plan;
  const limiter_plan before(options{.permits = 10, .period = 1s, .burst = 10, .max_wait = 2s});
  const options slower{.permits = 1, .period = 1s, .burst = 1, .max_hint = 0s};
  CHECK(limiter_plan(slower).furthest == 2'000'000'000 * limiter_plan::ticks_per_ns);
  // A burst, the longest wait and a second of slack, at a tenth of the rate.
  CHECK(limiter_plan(slower, before).furthest == 42'000'000'000 * limiter_plan::ticks_per_ns);
}

TEST_CASE("rate limiter: a start is guessed where a clock's tick is little of the store",
          "[rate_limiter]") {
  const auto guesses = [](std::uint32_t permits, hf::duration period) {
    return hf::detail::limiter_plan(options{.permits = permits, .period = period}).guess_start;
  };
  CHECK(guesses(16, 64ms));
  CHECK_FALSE(guesses(15, 64ms));
  CHECK_FALSE(guesses(16, 63ms));
}

TEST_CASE("rate limiter: several reconfigurations in a row keep what is booked", "[rate_limiter]") {
  options o{.permits = 1000, .period = 1s, .burst = 1, .max_wait = 1s};
  hf::rate_limiter l(o);
  for (int i = 0; i < 501; ++i) REQUIRE(l.reserve(1, at(1s), at(0s)));
  for (const auto permits : {100u, 10u, 1u}) {
    o.permits = permits;
    l.reconfigure(o, at(0s));
  }
  CHECK(l.snapshot(at(0s)).next_free >= 500s);
  CHECK(l.snapshot(at(0s)).next_free <= 502s);
}

TEST_CASE("bug 30: a limit that is lowered at work goes on letting calls in",
          "[conformance][rate_limiter]") {
  const auto algorithm = GENERATE(limiter_algorithm::gcra, limiter_algorithm::sliding_window);
  hf::rate_limiter l(options{.permits = 100, .period = 1s, .algorithm = algorithm});
  const auto admitted_in = [&](hf::duration from, hf::duration to) {
    unsigned n = 0;
    for (auto t = from; t < to; t += 1ms) n += l.try_acquire(1, at(t)) ? 1 : 0;
    return n;
  };
  CHECK(admitted_in(0s, 2s) >= 190);
  l.reconfigure({.permits = 10, .period = 1s, .algorithm = algorithm}, at(2s));
  CHECK(admitted_in(2s, 3s) <= 20);
  const unsigned lower = admitted_in(3s, 8s);
  CHECK(lower >= 45);
  CHECK(lower <= 60);
  l.reconfigure({.permits = 100, .period = 1s, .algorithm = algorithm}, at(8s));
  CHECK(admitted_in(9s, 12s) >= 280);
}

TEST_CASE("bug 31: threads that reserve at once never get more than there is",
          "[conformance][rate_limiter][threads]") {
  // Real threads; the time stands still, then moves on.
  const auto algorithm = GENERATE(limiter_algorithm::gcra, limiter_algorithm::sliding_window);
  constexpr unsigned permits = 5000;
  hf::rate_limiter l(options{.permits = permits, .period = 1s, .algorithm = algorithm});
  for (int round = 0; round < 5; ++round) {
    const hf::time_point now = at(round * 10s);
    std::atomic<unsigned> admitted{0};
    {
      std::vector<std::jthread> threads;
      for (int t = 0; t < 6; ++t) {
        threads.emplace_back([&] {
          for (unsigned i = 0; i < permits / 2; ++i) {
            const auto& plan = l.core()->plan();
            if (l.core()->take(plan, 1, now, 0s) || l.try_acquire(1, now)) ++admitted;
          }
        });
      }
    }
    CHECK(admitted == permits);
  }
}

TEST_CASE("bug 31: threads that wait get times that never bunch",
          "[conformance][rate_limiter][threads]") {
  hf::rate_limiter l(options{.permits = 3, .period = 1s, .burst = 1, .max_wait = 1h});
  std::vector<std::vector<hf::time_point>> times(6);
  {
    std::vector<std::jthread> threads;
    for (auto& own : times) {
      threads.emplace_back([&l, &own] {
        for (int i = 0; i < 500; ++i) own.push_back(l.reserve(1, hf::never, at(0s)).at);
      });
    }
  }
  std::vector<hf::time_point> all;
  for (const auto& own : times) all.insert(all.end(), own.begin(), own.end());
  std::ranges::sort(all);
  REQUIRE(all.size() == 3000);
  for (std::size_t i = 0; i + 3 < all.size(); ++i) REQUIRE(all[i + 3] - all[i] == 1s);
}

TEST_CASE("rate limiter: reconfigured under load by another thread", "[rate_limiter][threads]") {
  hf::rate_limiter l(options{.permits = 1000, .period = 1s, .max_wait = 1s});
  std::atomic<std::int64_t> now{0};
  std::atomic<bool> stop{false};
  std::atomic<unsigned> admitted{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&] {
        while (!stop) {
          const hf::time_point time = at(hf::duration(now.fetch_add(1000)));
          const auto r = l.reserve(2, time + 10ms, time);
          if (!r) continue;
          ++admitted;
          l.settle(r, 1, time);
        }
      });
    }
    for (std::uint32_t i = 0; i < 300; ++i) {
      l.reconfigure({.permits = 500 + i * 7, .period = 1s, .burst = 1 + i % 50, .max_wait = 1s},
                    at(hf::duration(now.load())));
      std::this_thread::yield();
    }
    stop = true;
  }
  CHECK(admitted > 0);
  // Whatever happened, the last plan holds once the time has come.
  l.reconfigure({.permits = 10, .period = 1s, .burst = 3}, at(1000h));
  unsigned at_once = 0;
  for (int i = 0; i < 100; ++i) at_once += l.try_acquire(1, at(2000h)) ? 1 : 0;
  CHECK(at_once == 3);
}
