// SPDX-License-Identifier: BSL-1.0
// The retry budget by hand, and its parts.
#include <algorithm>
#include <atomic>
#include <catch2/catch_all.hpp>
#include <deque>
#include <holdfast/detail/striped_counters.hpp>
#include <holdfast/detail/window_samples.hpp>
#include <holdfast/invalid_options.hpp>
#include <holdfast/policy/retry_budget.hpp>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include "../support/seed.hpp"

namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::budget_mode;
using hf::retry_budget;
using hf::time_point;

namespace {

constexpr time_point start{1h};

/// How many retries are granted now, one after another, up to a limit.
int drain(retry_budget& b, time_point now, int limit = 100'000) {
  int n = 0;
  while (n < limit && b.try_reserve(now)) ++n;
  return n;
}

void call(retry_budget& b, time_point now, int times) {
  for (int i = 0; i < times; ++i) b.on_call(now);
}

}  // namespace

TEST_CASE("a slot belongs to one living thread, and the lowest are used again",
          "[budget][threads]") {
  using hf::detail::thread_slot;
  const auto mine = thread_slot();
  CHECK(thread_slot() == mine);
  CHECK(mine < hf::detail::slot_count);
  std::uint32_t highest = 0;
  for (int i = 0; i < 1000; ++i) {
    std::uint32_t other = mine;
    std::thread([&] { other = thread_slot(); }).join();
    REQUIRE(other != mine);
    highest = std::max(highest, other);
  }
  CHECK(highest < 8);
}

TEST_CASE("striped counters lose nothing, with more threads than lines too", "[budget][threads]") {
  const auto lines = GENERATE(0u, 2u, 64u);
  hf::detail::striped_counters<2> counters(lines);
  for (int round = 0; round < 2; ++round) {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 20'000; ++i) {
          counters.add(0);
          if (i % 4 == 0) counters.add(1);
        }
      });
    }
  }
  CHECK(counters.sum() == hf::detail::striped_counters<2>::totals{320'000, 80'000});
}

TEST_CASE("window samples against every event's own time", "[budget]") {
  const test::seed seed(GENERATE(range(1u, 11u)));
  std::mt19937_64 random(seed);
  const hf::duration window = 320ns + hf::duration(random() % 32);
  const hf::duration used = window / 32 * 32;
  hf::detail::window_samples<std::uint64_t> samples(window);
  std::deque<time_point> events;
  time_point now = start;
  const auto younger_than = [&](hf::duration d) {
    const auto first = std::ranges::upper_bound(events, now - d);
    return static_cast<std::uint64_t>(events.end() - first);
  };
  for (int i = 0; i < 5000; ++i) {
    now += hf::duration(random() % (i % 50 == 0 ? 500 : 15));
    samples.advance(now, events.size());
    REQUIRE(now < samples.next());
    events.push_back(now);
    const auto within = events.size() - samples.within();
    REQUIRE(within <= younger_than(used));
    REQUIRE(within >= younger_than(used / 32 * 31));
    const auto beyond = events.size() - samples.beyond();
    REQUIRE(beyond >= younger_than(used));
    REQUIRE(beyond <= younger_than(used / 32 * 33));
  }
}

TEST_CASE("ratio: calls pay for retries", "[budget]") {
  retry_budget b({.ratio = 0.2, .ttl = 10s, .min_per_second = 0});
  CHECK_FALSE(b.try_reserve(start));
  call(b, start, 4);
  CHECK_FALSE(b.try_reserve(start));
  call(b, start, 1);
  CHECK(drain(b, start) == 1);
  call(b, start, 995);
  CHECK(drain(b, start) == 199);
  const auto s = b.snapshot(start);
  CHECK(s.mode == budget_mode::ratio);
  CHECK(s.calls_in_window == 1000);
  CHECK(s.reserved_in_window == 200);
  CHECK(s.available == 0);
  CHECK(s.granted == 200);
  CHECK(s.exhausted == 4);
}

TEST_CASE("ratio: above one, retries outnumber the calls", "[budget]") {
  retry_budget b({.ratio = 2.5, .min_per_second = 0});
  call(b, start, 2);
  CHECK(b.snapshot(start).available == 5);
  CHECK(drain(b, start) == 5);
}

TEST_CASE("ratio: the floor needs no calls, and is a burst", "[budget]") {
  retry_budget b({.ratio = 0, .ttl = 10s, .min_per_second = 2.5});
  CHECK(b.snapshot(start).available == 25);
  CHECK(drain(b, start) == 25);
  CHECK_FALSE(b.try_reserve(start + 9999ms));
  CHECK(drain(b, start + 11s) == 25);
}

TEST_CASE("ratio: what was paid in is forgotten within the time to live", "[budget]") {
  retry_budget b({.ratio = 1, .ttl = 32s, .min_per_second = 0});
  call(b, start, 7);
  CHECK(b.snapshot(start + 30s).available == 7);
  CHECK(b.snapshot(start + 32s).available == 0);
  SECTION("also where nobody looked meanwhile") {
    call(b, start + 100s, 2);
    CHECK(drain(b, start + 100s) == 2);
  }
  SECTION("each call for itself") {
    retry_budget c({.ratio = 1, .ttl = 32s, .min_per_second = 0});
    for (int i = 0; i < 32; ++i) call(c, start + i * 1s, 1);
    CHECK(c.snapshot(start + 31s).available == 32);
    CHECK(c.snapshot(start + 41s).available == 22);
    CHECK(c.snapshot(start + 62s).available == 1);
    CHECK(c.snapshot(start + 63s).available == 0);
  }
}

TEST_CASE("ratio: what was drawn is remembered for the time to live at least", "[budget]") {
  retry_budget b({.ratio = 0, .ttl = 32s, .min_per_second = 1});
  REQUIRE(drain(b, start + 999ms) == 32);
  CHECK_FALSE(b.try_reserve(start + 32'998ms));
  CHECK(drain(b, start + 33s) == 32);
}

TEST_CASE("ratio: never overdrawn in any span of the time to live", "[budget]") {
  const test::seed seed(GENERATE(range(1u, 21u)));
  std::mt19937_64 random(seed);
  const double ratio = static_cast<double>(random() % 12) / 10;
  const double floor = static_cast<double>(random() % 4);
  retry_budget b({.ratio = ratio, .ttl = 8s, .min_per_second = floor});
  std::deque<time_point> calls;
  std::deque<time_point> retries;
  time_point now = start;
  int granted = 0;
  const auto young = [&](const std::deque<time_point>& times, hf::duration age) {
    return static_cast<double>(
        std::ranges::count_if(times, [&](time_point t) { return now - t < age; }));
  };
  for (int i = 0; i < 20'000; ++i) {
    now += hf::duration(1ms) * (random() % (i % 1000 == 0 ? 20'000 : 60));
    if (random() % 3 != 0) {
      b.on_call(now);
      calls.push_back(now);
    }
    while (!calls.empty() && now - calls.front() >= 9s) calls.pop_front();
    while (!retries.empty() && now - retries.front() >= 9s) retries.pop_front();
    if (random() % 2 != 0) continue;
    if (b.try_reserve(now)) {
      ++granted;
      retries.push_back(now);
      REQUIRE(young(retries, 8s) <= ratio * young(calls, 8s) + floor * 8 + 1e-6);
    } else {
      // The price of the periods: 1/32 of the time, on either side.
      REQUIRE(young(retries, 8250ms) + 1 > ratio * young(calls, 7750ms) + floor * 8 - 1e-6);
    }
  }
  if (ratio > 0 || floor > 0) CHECK(granted > 100);
}

TEST_CASE("ratio: the last resolution of a ratio is a millionth", "[budget]") {
  for (const double ratio : {0.1, 0.3, 0.29, 0.7, 1.1}) {
    retry_budget b({.ratio = ratio, .min_per_second = 0});
    call(b, start, 100);
    CAPTURE(ratio);
    CHECK(drain(b, start) == std::lround(ratio * 100));
  }
}

TEST_CASE("ratio: a clock that is a little behind another thread's", "[budget]") {
  retry_budget b({.ratio = 1, .ttl = 32s, .min_per_second = 0});
  call(b, start + 1s, 1);
  call(b, start + 999ms, 1);
  CHECK(drain(b, start + 998ms) == 2);
  CHECK_FALSE(b.try_reserve(start + 33s));
}

TEST_CASE("tokens: a failure costs one, a success gives a part back", "[budget]") {
  retry_budget b({.mode = budget_mode::tokens, .max_tokens = 10, .token_ratio = 0.5});
  CHECK(b.snapshot(start).tokens == 10);
  CHECK(b.snapshot(start).available == 4);
  b.on_success();
  CHECK(b.snapshot(start).tokens == 10);  // never above the most
  for (int i = 0; i < 4; ++i) CHECK(b.try_reserve(start));  // 6 left: more than half
  CHECK_FALSE(b.try_reserve(start));
  CHECK(b.snapshot(start).tokens == 6);  // a wish that is not granted costs nothing by itself
  b.on_failure();
  CHECK(b.snapshot(start).tokens == 5);
  b.on_success();
  b.on_success();
  CHECK_FALSE(b.try_reserve(start));  // 6 - 1 is not more than half
  b.on_success();
  CHECK(b.try_reserve(start));  // 6.5 - 1 is
}

TEST_CASE("tokens: never below none", "[budget]") {
  retry_budget b({.mode = budget_mode::tokens, .max_tokens = 2, .token_ratio = 1});
  for (int i = 0; i < 100; ++i) b.on_failure();
  CHECK(b.snapshot(start).tokens == 0);
  for (int i = 0; i < 2; ++i) b.on_success();
  CHECK(b.snapshot(start).tokens == 2);
  CHECK_FALSE(b.try_reserve(start));  // 2 - 1 is half
}

TEST_CASE("tokens: counted to the millionth", "[budget]") {
  retry_budget b({.mode = budget_mode::tokens, .max_tokens = 4, .token_ratio = 1e-6});
  b.on_failure();
  b.on_success();  // 3.000001, and half is 2
  CHECK(b.snapshot(start).available == 1);
  CHECK(b.try_reserve(start));
  for (int i = 0; i < 3; ++i) b.on_failure();
  b.on_success();
  CHECK(b.snapshot(start).tokens == 1e-6);
  b.on_failure();  // takes what there is
  CHECK(b.snapshot(start).tokens == 0);
}

TEST_CASE("tokens: as gRPC counts, whatever comes", "[budget]") {
  // The rule of the proposal in plain words, beside ours.
  const test::seed seed(GENERATE(range(1u, 11u)));
  std::mt19937_64 random(seed);
  retry_budget b({.mode = budget_mode::tokens, .max_tokens = 20, .token_ratio = 0.25});
  double tokens = 20;
  for (int i = 0; i < 10'000; ++i) {
    if (random() % 100 < (i / 100 % 2 ? 60u : 15u)) {
      tokens = std::max(tokens - 1, 0.0);
      const bool may_retry = tokens > 10;
      REQUIRE(b.try_reserve(start) == may_retry);
      if (!may_retry) b.on_failure();
    } else {
      tokens = std::min(tokens + 0.25, 20.0);
      b.on_success();
    }
    REQUIRE(b.snapshot(start).tokens == Catch::Approx(tokens).margin(1e-9));
  }
}

TEST_CASE("a reservation that was not used is given back, once", "[budget]") {
  SECTION("ratio") {
    retry_budget b({.ratio = 0, .ttl = 32s, .min_per_second = 0.0625});  // two of them
    REQUIRE(drain(b, start) == 2);
    b.release(start, start + 5s);
    CHECK(b.snapshot(start + 5s).available == 1);
    CHECK(b.snapshot(start + 5s).released == 1);
    CHECK(drain(b, start + 5s) == 1);
    // The first of the three is forgotten, the third still counts.
    CHECK(drain(b, start + 33s) == 1);
  }
  SECTION("ratio: one that is forgotten gives nothing back") {
    retry_budget b({.ratio = 0, .ttl = 32s, .min_per_second = 0.03125});  // one
    REQUIRE(b.try_reserve(start));
    REQUIRE(b.try_reserve(start + 33s));
    b.release(start, start + 34s);
    CHECK_FALSE(b.try_reserve(start + 34s));
    CHECK(b.snapshot(start + 34s).released == 0);
  }
  SECTION("ratio: one that is as old as that when it comes back") {
    retry_budget b({.ratio = 0, .ttl = 32s, .min_per_second = 0.03125});
    REQUIRE(b.try_reserve(start));
    b.release(start, start + 34s);
    CHECK(b.snapshot(start + 34s).released == 0);
  }
  SECTION("ratio: more than there were") {
    retry_budget b({.ratio = 0, .ttl = 32s, .min_per_second = 0.03125});
    b.release(start, start);
    CHECK(drain(b, start) == 1);
  }
  SECTION("tokens") {
    retry_budget b({.mode = budget_mode::tokens, .max_tokens = 4});
    REQUIRE(drain(b, start) == 1);
    b.release(start, start);
    CHECK(b.snapshot(start).tokens == 4);
    b.release(start, start);
    CHECK(b.snapshot(start).tokens == 4);
  }
}

TEST_CASE("reconfigure: what was paid and drawn stays", "[budget]") {
  retry_budget b({.name = "b", .ratio = 0.5, .ttl = 32s, .min_per_second = 0});
  call(b, start, 100);
  REQUIRE(b.try_reserve(start));
  SECTION("another ratio") {
    b.reconfigure({.name = "other", .ratio = 0.1, .ttl = 32s, .min_per_second = 0}, start);
    CHECK(b.snapshot(start).available == 9);
    CHECK(b.name() == "b");
    CHECK(b.current_options().name == "b");
    CHECK(b.current_options().ratio == 0.1);
  }
  SECTION("a floor") {
    b.reconfigure({.ratio = 0.5, .ttl = 32s, .min_per_second = 1}, start);
    CHECK(b.snapshot(start).available == 49 + 32);
  }
  SECTION("nothing any more") {
    b.reconfigure({.ratio = 0, .ttl = 32s, .min_per_second = 0}, start);
    CHECK_FALSE(b.try_reserve(start));
  }
  SECTION("a shorter time to live") {
    b.reconfigure({.ratio = 0.5, .ttl = 8s, .min_per_second = 0}, start + 4s);
    CHECK(b.snapshot(start + 4s).calls_in_window == 100);
    CHECK(b.snapshot(start + 4s).reserved_in_window == 1);
    CHECK(b.snapshot(start + 9s).calls_in_window == 0);
    CHECK(b.snapshot(start + 9s).reserved_in_window == 0);
  }
  SECTION("a longer one") {
    b.reconfigure({.ratio = 0.5, .ttl = 64s, .min_per_second = 0}, start + 20s);
    CHECK(b.snapshot(start + 60s).calls_in_window == 100);
    CHECK(b.snapshot(start + 60s).reserved_in_window == 1);
    CHECK(b.snapshot(start + 64s).calls_in_window == 0);
    CHECK(b.snapshot(start + 67s).reserved_in_window == 0);
  }
  SECTION("nonsense changes nothing") {
    CHECK_THROWS_AS(b.reconfigure({.ratio = -1, .ttl = 0s}, start), hf::invalid_options);
    CHECK(b.current_options().ratio == 0.5);
    CHECK(b.snapshot(start).available == 49);
  }
}

TEST_CASE("reconfigure: no schedule of changes overdraws", "[budget]") {
  const test::seed seed(GENERATE(range(1u, 11u)));
  std::mt19937_64 random(seed);
  hf::retry_budget_options o{.ratio = 0.5, .ttl = 8s, .min_per_second = 0};
  retry_budget b(o);
  std::vector<time_point> calls;
  std::vector<time_point> retries;
  time_point now = start;
  time_point known_since = start;
  for (int i = 0; i < 5000; ++i) {
    now += hf::duration(1ms) * (random() % 100);
    if (i % 200 == 199) {
      known_since = std::max(known_since, now - o.ttl);  // what is older is forgotten for good
      o.ttl = 1s * (1 + random() % 12);
      b.reconfigure(o, now);
    }
    if (random() % 2) {
      b.on_call(now);
      calls.push_back(now);
    } else if (b.try_reserve(now)) {
      retries.push_back(now);
    }
    const auto young = [&](const auto& times, time_point since) {
      return static_cast<double>(std::ranges::count_if(
          times, [&](time_point t) { return t > since && now - t < o.ttl; }));
    };
    // A change to a shorter time may find more drawn than the new one pays for: nothing is granted.
    if (!retries.empty() && retries.back() == now) {
      REQUIRE(young(retries, known_since) <= 0.5 * young(calls, start) + 1e-6);
    }
  }
  CHECK(retries.size() > 100);
}

TEST_CASE("reconfigure: missing tokens stay missing, a change of mode begins anew", "[budget]") {
  retry_budget b({.mode = budget_mode::tokens, .max_tokens = 10});
  for (int i = 0; i < 3; ++i) b.on_failure();
  b.reconfigure({.mode = budget_mode::tokens, .max_tokens = 100}, start);
  CHECK(b.snapshot(start).tokens == 97);
  b.reconfigure({.mode = budget_mode::tokens, .max_tokens = 2}, start);
  CHECK(b.snapshot(start).tokens == 0);
  call(b, start, 1000);
  b.reconfigure({.ratio = 1, .min_per_second = 0}, start);
  CHECK_FALSE(b.try_reserve(start));  // calls of before do not pay
  call(b, start, 3);
  CHECK(drain(b, start) == 3);
  b.reconfigure({.mode = budget_mode::tokens, .max_tokens = 10}, start);
  CHECK(b.snapshot(start).tokens == 10);
  b.reconfigure({.ratio = 1, .ttl = 32s, .min_per_second = 0}, start);
  call(b, start, 3);
  call(b, start + 20s, 1);  // notes on its way what was there before it
  CHECK(b.snapshot(start + 30s).available == 4);
  CHECK(b.snapshot(start + 40s).available == 1);
}

TEST_CASE("threads: as many retries as were paid for, to the last one", "[budget][threads]") {
  // Real threads.
  retry_budget b({.ratio = 0.5, .ttl = 60s, .min_per_second = 0});
  // Begins the only period. A call that is made while another one begins it may count in the period
  // before, which is on the safe side, and then pays for nothing.
  b.on_call(start);
  std::atomic<int> granted{0};
  for (int round = 0; round < 2; ++round) {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 6; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 10'000; ++i) {
          b.on_call(start);
          if (b.try_reserve(start)) ++granted;
        }
      });
    }
  }
  granted += drain(b, start);
  CHECK(granted == 60'000);
}

TEST_CASE("threads: tokens are taken in one step", "[budget][threads]") {
  // Real threads.
  for (int round = 0; round < 50; ++round) {
    retry_budget b({.mode = budget_mode::tokens, .max_tokens = 100, .token_ratio = 0});
    std::atomic<int> granted{0};
    {
      std::vector<std::jthread> threads;
      for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
          for (int i = 0; i < 100; ++i) {
            if (b.try_reserve(start)) {
              ++granted;
            } else {
              b.on_failure();
            }
          }
        });
      }
    }
    REQUIRE(granted == 49);
  }
}

TEST_CASE("threads: live changes, time passing and calls at once", "[budget][threads]") {
  // Real threads; for the sanitizer.
  retry_budget b({.ttl = 10ms, .min_per_second = 1});
  std::vector<std::jthread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        const auto now = hf::clock::now();
        b.on_call(now);
        b.on_success();
        b.on_failure();
        if (b.try_reserve(now)) b.release(now, hf::clock::now());
      }
    });
  }
  for (int i = 0; i < 300; ++i) {
    const bool tokens = i % 3 == 0;
    b.reconfigure({.mode = tokens ? budget_mode::tokens : budget_mode::ratio,
                   .ratio = 0.1 * (i % 7),
                   .ttl = 1ms * (1 + i % 20),
                   .max_tokens = static_cast<unsigned>(1 + i % 50)},
                  hf::clock::now());
    const auto s = b.snapshot(hf::clock::now());
    REQUIRE(s.tokens >= 0);
    REQUIRE(s.tokens <= 50);
    REQUIRE(b.describe().starts_with("retry_budget"));
  }
}

TEST_CASE("threads: a change to more tokens never leaves more than the maximum",
          "[budget][threads]") {
  // Real threads: successes that come while the maximum and the tokens move.
  retry_budget b;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&](const std::stop_token& stop) {
      while (!stop.stop_requested()) b.on_success();
    });
  }
  for (int i = 0; i < 20'000; ++i) {
    b.reconfigure({.mode = budget_mode::tokens, .max_tokens = 50}, start);
    REQUIRE(b.snapshot(start).tokens <= 50);
    b.reconfigure({}, start);
  }
}

TEST_CASE("retry budget: every option out of range is refused, all at once", "[budget][options]") {
  const auto faults = [](hf::retry_budget_options o) -> std::size_t {
    const bool named = !o.name.empty();
    try {
      const retry_budget b(std::move(o));
      return 0;
    } catch (const hf::invalid_options& e) {
      CHECK_THAT(e.what(),
                 Catch::Matchers::StartsWith(named ? "retry budget 'x': " : "retry budget: "));
      return e.faults().size();
    }
  };
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(faults({}) == 0);
  CHECK(faults({.ratio = 0, .min_per_second = 0}) == 0);  // no retries: a way to switch them off
  CHECK(faults({.ratio = 1000, .ttl = hf::duration::max(), .min_per_second = 1e6}) == 0);
  CHECK(faults({.ratio = -0.1}) == 1);
  CHECK(faults({.ratio = 1001}) == 1);
  CHECK(faults({.ratio = nan}) == 1);
  CHECK(faults({.ttl = 999us}) == 1);
  CHECK(faults({.min_per_second = -1}) == 1);
  CHECK(faults({.min_per_second = 1e7}) == 1);
  CHECK(faults({.max_tokens = 0}) == 1);
  CHECK(faults({.token_ratio = nan}) == 1);
  CHECK(faults({.name = "x",
                .ratio = -1,
                .ttl = -1s,
                .min_per_second = nan,
                .max_tokens = 0,
                .token_ratio = -1}) == 5);
}

TEST_CASE("retry budget: extreme options do not overflow", "[budget]") {
  retry_budget b({.ratio = 1000, .ttl = hf::duration::max(), .min_per_second = 1e6});
  call(b, start, 1000);
  CHECK(b.try_reserve(start));
  CHECK(b.snapshot(start).available > 1'000'000);
  CHECK(b.try_reserve(time_point::max()));
  CHECK(b.try_reserve(time_point::min()));
}

TEST_CASE("retry budget: describes itself with every option of its mode", "[budget][describe]") {
  CHECK(retry_budget({.name = "gpt-4"}).describe() ==
        "retry_budget 'gpt-4': 20 % of the calls and 10 per second, within 10s");
  CHECK(retry_budget({.mode = budget_mode::tokens}).describe() ==
        "retry_budget '': 100 tokens, 0.1 back for a success, retries above half");
  CHECK(to_string(budget_mode::ratio) == "ratio");
  CHECK(to_string(budget_mode::tokens) == "tokens");
  CHECK(to_string(static_cast<budget_mode>(9)) == "unknown");
}
