// SPDX-License-Identifier: BSL-1.0
#include <catch2/catch_all.hpp>
#include <holdfast/detail/calls_in_flight.hpp>
#include <random>
#include <thread>
#include <vector>

#include "../support/seed.hpp"

using holdfast::detail::calls_in_flight;

TEST_CASE("a call is late once its span is older than the limit", "[calls_in_flight]") {
  calls_in_flight c;
  CHECK(c.enter(0, 100));
  CHECK_FALSE(c.enter(0, 100));
  CHECK(c.late(0, 108) == 0);
  CHECK(c.late(0, 109) == 2);
  c.leave(0, 100);
  CHECK(c.late(0, 109) == 1);
  c.leave(0, 100);
  CHECK(c.late(0, 109) == 0);
}

TEST_CASE("after a change the first call of each span is told that it is", "[calls_in_flight]") {
  calls_in_flight c;
  c.clear(1);
  for (int span = 1; span < 40; ++span) {
    CHECK(c.enter(1, span));
    CHECK_FALSE(c.enter(1, span));
  }
}

TEST_CASE("generations are told apart for as long as there are numbers for them",
          "[calls_in_flight]") {
  calls_in_flight c;
  c.enter(1, 5);
  for (std::uint64_t generation = 2; generation <= 256; ++generation) {
    CHECK(c.late(generation, 100) == 0);
  }
}

TEST_CASE("calls that have lost their place in the ring are still known", "[calls_in_flight]") {
  calls_in_flight c;
  for (int span = 0; span < 100; ++span) c.enter(0, span);
  CHECK(c.late(0, 100) == 92);
  for (int span = 0; span < 50; ++span) c.leave(0, span);
  CHECK(c.late(0, 100) == 42);
  for (int span = 50; span < 100; ++span) c.leave(0, span);
  CHECK(c.late(0, 1000) == 0);
}

TEST_CASE("calls of an earlier generation no longer count, nor does their end",
          "[calls_in_flight]") {
  calls_in_flight c;
  c.enter(1, 5);
  c.enter(1, 30);
  c.clear(2);
  CHECK(c.late(2, 100) == 0);
  c.enter(2, 30);
  c.leave(1, 30);  // in the same span as one of today's
  c.leave(1, 5);
  CHECK(c.late(2, 100) == 1);
  c.enter(1, 46);  // was admitted before the change, and counts in only now
  c.enter(2, 62);
  CHECK(c.late(2, 200) == 2);
}

TEST_CASE("calls in flight: model check", "[calls_in_flight]") {
  const test::seed seed(GENERATE(range(1u, 11u)));
  std::mt19937_64 random(seed);
  calls_in_flight c;
  c.clear(3);
  std::vector<std::int64_t> running;
  std::int64_t span = 1'000'000;
  for (int i = 0; i < 20'000; ++i) {
    if (random() % 4 == 0) span += static_cast<std::int64_t>(random() % 6);
    if (random() % 2) {
      c.enter(3, span);
      running.push_back(span);
    } else if (!running.empty()) {
      const auto which = running.begin() + static_cast<std::ptrdiff_t>(random() % running.size());
      c.leave(3, *which);
      running.erase(which);
    }
    const auto late = std::ranges::count_if(running, [&](auto s) { return span - s > 8; });
    REQUIRE(c.late(3, span) == static_cast<std::uint64_t>(late));
  }
}

TEST_CASE("calls in flight: everything is back once its threads are done",
          "[calls_in_flight][threads]") {
  // Real threads, whose spans pass so fast that places in the ring change hands all the time.
  calls_in_flight c;
  std::atomic<std::int64_t> span{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        std::vector<std::int64_t> mine;
        std::mt19937 random(static_cast<unsigned>(t));
        for (int i = 0; i < 20'000; ++i) {
          mine.push_back(span.fetch_add(random() % 2));
          c.enter(0, mine.back());
          if (mine.size() > random() % 40) {
            const auto which = random() % mine.size();
            c.leave(0, mine[which]);
            mine.erase(mine.begin() + static_cast<std::ptrdiff_t>(which));
          }
        }
        for (const auto s : mine) c.leave(0, s);
      });
    }
  }
  CHECK(c.late(0, span + 1000) == 0);
}
