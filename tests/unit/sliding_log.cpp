// SPDX-License-Identifier: BSL-1.0
// The rate limiter's log by hand, against a list of every admission.
#include <catch2/catch_all.hpp>
#include <deque>
#include <holdfast/detail/sliding_log.hpp>
#include <random>

#include "../support/seed.hpp"

namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::detail::booking;
using hf::detail::limiter_plan;
using hf::detail::sliding_log;
using options = hf::rate_limiter_options;

namespace {

constexpr hf::time_point start{1h};
hf::time_point at(hf::duration d) { return start + d; }

limiter_plan plan_of(std::uint32_t permits, hf::duration period, hf::duration max_wait = 0s) {
  return limiter_plan(options{.permits = permits,
                              .period = period,
                              .algorithm = hf::limiter_algorithm::sliding_window,
                              .max_wait = max_wait});
}

bool take_now(sliding_log& log, const limiter_plan& p, std::uint32_t units, hf::time_point now) {
  return log.book(p, units, now, now, now).what == booking::kind::admitted;
}

}  // namespace

TEST_CASE("never more than the permits in any period", "[sliding_log]") {
  const limiter_plan p = plan_of(3, 1s);
  sliding_log log(p);
  CHECK(take_now(log, p, 1, at(0s)));
  CHECK(take_now(log, p, 1, at(500ms)));
  CHECK(take_now(log, p, 1, at(900ms)));
  CHECK_FALSE(take_now(log, p, 1, at(999ms)));
  CHECK(log.next_free(p, at(999ms)) == 1ms);
  CHECK(take_now(log, p, 1, at(1s)));
  CHECK_FALSE(take_now(log, p, 1, at(1499ms)));
  CHECK(take_now(log, p, 1, at(1500ms)));
  CHECK(log.available(p, at(1500ms)) == 0);
  CHECK(log.available(p, at(2s)) == 2);
  CHECK(log.available(p, at(9s)) == 3);
}

TEST_CASE("who waits is told the time at once, and is admitted in order", "[sliding_log]") {
  const limiter_plan p = plan_of(2, 1s, 3s);
  sliding_log log(p);
  REQUIRE(take_now(log, p, 1, at(0s)));
  REQUIRE(take_now(log, p, 1, at(200ms)));
  const auto due = [&](std::uint32_t units, hf::duration latest) {
    return log.book(p, units, at(300ms), at(300ms), at(latest));
  };
  CHECK(due(1, 900ms).what == booking::kind::refused);
  CHECK(due(1, 900ms).at == at(1s));
  CHECK(due(1, 3s).at == at(1s));
  CHECK(due(2, 3s).at == at(2s));
  CHECK(due(1, 4s).at == at(3s));
  CHECK(due(3, 9s).what == booking::kind::refused);
  CHECK(due(3, 9s).at == hf::never);
}

TEST_CASE("nobody is admitted before the time that was asked for", "[sliding_log]") {
  const limiter_plan p = plan_of(2, 1s, 3s);
  sliding_log log(p);
  CHECK(log.book(p, 1, at(0s), at(2s), at(3s)).at == at(2s));
  CHECK(log.book(p, 1, at(0s), at(2s), at(3s)).at == at(2s));
  CHECK(log.book(p, 1, at(0s), at(2s), at(3s)).at == at(3s));
}

TEST_CASE("what was not used comes back, as long as it counts", "[sliding_log]") {
  const limiter_plan p = plan_of(10, 1s, 1s);
  sliding_log log(p);
  REQUIRE(take_now(log, p, 6, at(0s)));
  REQUIRE(take_now(log, p, 4, at(500ms)));
  log.remove(4, at(0s));
  CHECK(log.available(p, at(500ms)) == 4);
  CHECK_FALSE(take_now(log, p, 5, at(500ms)));
  REQUIRE(take_now(log, p, 4, at(500ms)));
  // The two that are left of the first count until 1 s, the eight after them longer.
  CHECK(log.available(p, at(1s)) == 2);
  log.remove(100, at(0s));  // out of the log
  CHECK(log.available(p, at(1s)) == 2);
  log.add(p, 1, at(1s));
  CHECK(log.available(p, at(1s)) == 1);
  log.add(p, ~std::uint64_t{0}, at(1s));
  CHECK(log.available(p, at(1s)) == 0);
  CHECK(log.available(p, at(2s)) == 10);
}

TEST_CASE("who cancels a booking leaves no gap behind", "[sliding_log]") {
  const limiter_plan p = plan_of(4, 1s, 9s);
  sliding_log log(p);
  REQUIRE(take_now(log, p, 2, at(0s)));
  const auto due = [&](std::uint32_t units) { return log.book(p, units, at(1ms), at(1ms), at(9s)); };
  const booking a = due(4);
  const booking b = due(4);
  REQUIRE(a.at == at(1s));
  REQUIRE(b.at == at(2s));
  SECTION("the last first") {
    log.remove(4, b.at);
    CHECK(log.next_free(p, at(1ms)) == 1999ms);
    log.remove(4, a.at);
    CHECK(log.next_free(p, at(1ms)) == 0s);
  }
  SECTION("the last last") {
    log.remove(4, a.at);
    CHECK(log.next_free(p, at(1ms)) == 2999ms);  // nobody is admitted before who came earlier
    log.remove(4, b.at);
    CHECK(log.next_free(p, at(1ms)) == 0s);
  }
  CHECK(log.available(p, at(1ms)) == 2);
  CHECK(take_now(log, p, 2, at(1ms)));
}

TEST_CASE("the log against a list of every admission", "[sliding_log]") {
  const test::seed seed(GENERATE(range(1u, 31u)));
  std::mt19937_64 random(seed);
  const auto permits = static_cast<std::uint32_t>(1 + random() % 200);
  constexpr hf::duration period = 1s;
  const limiter_plan p = plan_of(permits, period, seed % 2 ? 0s : 2s);
  sliding_log log(p);
  struct event {
    hf::time_point when;
    std::uint64_t units;
  };
  std::deque<event> all;
  hf::time_point now = start;
  hf::time_point last = start;
  // What is admitted within the period that ends at `when`, entries up to `spare` older included.
  const auto in_period = [&](hf::time_point when, hf::duration spare) {
    std::uint64_t sum = 0;
    for (const event& e : all) {
      if (e.when > when - period - spare && e.when <= when) sum += e.units;
    }
    return sum;
  };
  const auto mean_gap = 1'500'000'000 / permits;
  for (int i = 0; i < 2000; ++i) {
    now += hf::duration(static_cast<std::int64_t>(random() % mean_gap));
    const auto units = static_cast<std::uint32_t>(1 + random() % std::min(permits, 3u));
    const booking b = log.book(p, units, now, now, now + p.options.max_wait);
    if (b.what == booking::kind::refused) {
      // Not for nothing: with a 32nd of a period of grace there was no room.
      if (last <= now) REQUIRE(in_period(now, period / 32) + units > permits);
      continue;
    }
    REQUIRE(b.at >= now);
    REQUIRE(b.at >= last);
    last = b.at;
    all.push_back({b.at, units});
    REQUIRE(in_period(b.at, 0s) <= permits);
    while (all.front().when < now - 2 * period) all.pop_front();
  }
}

TEST_CASE("bug 21: a log after a jump of the clock", "[conformance][sliding_log]") {
  const limiter_plan p = plan_of(2, 1s, 1s);
  sliding_log log(p);
  REQUIRE(take_now(log, p, 2, at(200h)));
  CHECK_FALSE(take_now(log, p, 1, at(0s)));
  CHECK(take_now(log, p, 2, at(1s)));
  CHECK(take_now(log, p, 2, at(9999h)));
}

TEST_CASE("a new plan keeps what is in the log", "[sliding_log]") {
  const limiter_plan p = plan_of(10, 1s, 1s);
  sliding_log log(p);
  for (int i = 0; i < 8; ++i) REQUIRE(take_now(log, p, 1, at(i * 100ms)));
  const limiter_plan other = plan_of(9, 2s, 5s);
  log.fit(other);
  CHECK(log.available(other, at(1s)) == 1);
  CHECK(log.available(other, at(2s)) == 2);
}

TEST_CASE("a log does not grow, however long the waits", "[sliding_log]") {
  const limiter_plan p = plan_of(1, 1ms, 1h);
  sliding_log log(p);
  hf::time_point before = start - 1ms;
  for (int i = 0; i < 20'000; ++i) {
    const booking b = log.book(p, 1, start, start, start + 1h);
    REQUIRE(b.what != booking::kind::refused);
    REQUIRE(b.at - before >= 1ms);
    before = b.at;
  }
}

TEST_CASE("after a jump of the clock each permit is there again", "[sliding_log]") {
  const limiter_plan p = plan_of(2, 1s, 1s);
  sliding_log log(p);
  REQUIRE(take_now(log, p, 2, at(200h)));
  CHECK_FALSE(take_now(log, p, 1, at(0s)));
  CHECK(take_now(log, p, 1, at(1s)));
  CHECK(take_now(log, p, 1, at(1s)));
  CHECK_FALSE(take_now(log, p, 1, at(1s)));
}

TEST_CASE("permits come back a 32nd of the period late at most", "[sliding_log]") {
  const limiter_plan p = plan_of(1000, 32s);
  sliding_log log(p);
  for (int i = 0; i < 320; ++i) REQUIRE(take_now(log, p, 1, at(i * 100ms)));
  CHECK(log.available(p, at(32s)) >= 680);
  CHECK(log.available(p, at(40s)) >= 680 + 70);
  CHECK(log.available(p, at(40s)) <= 680 + 80);
  SECTION("and those that are a 32nd apart for themselves") {
    sliding_log other(p);
    REQUIRE(take_now(other, p, 1, at(0s)));
    REQUIRE(take_now(other, p, 1, at(1s)));
    CHECK(other.available(p, at(32s)) == 999);
  }
}

TEST_CASE("a log is never full of what is over", "[sliding_log]") {
  const limiter_plan p(options{.permits = 10,
                               .period = 1s,
                               .algorithm = hf::limiter_algorithm::sliding_window,
                               .max_hint = 0s});  // the smallest log
  sliding_log log(p);
  SECTION("of calls") {
    for (int i = 0; i < 1000; ++i) REQUIRE(take_now(log, p, 1, at(i * 100ms)));
  }
  SECTION("of debts") {
    for (int i = 0; i < 1000; ++i) {
      log.add(p, 1, at(i * 100ms));
      REQUIRE(log.available(p, at(i * 100ms + 99ms)) == (i < 10 ? 9u - unsigned(i) : 0u));
    }
    CHECK(log.available(p, at(1000 * 100ms + 400ms)) == 5);
  }
}

TEST_CASE("a period may be a few nanoseconds", "[sliding_log]") {
  const limiter_plan p(options{.permits = 2,
                               .period = 10ns,
                               .algorithm = hf::limiter_algorithm::sliding_window,
                               .max_hint = 0s});
  sliding_log log(p);
  REQUIRE(take_now(log, p, 1, at(0ns)));
  REQUIRE(take_now(log, p, 1, at(1ns)));
  CHECK(log.available(p, at(9ns)) == 0);
  CHECK(log.available(p, at(10ns)) == 1);
  CHECK(log.available(p, at(11ns)) == 2);
}

TEST_CASE("no more comes back than was booked for that time", "[sliding_log]") {
  const limiter_plan p = plan_of(10, 1s);
  sliding_log log(p);
  REQUIRE(take_now(log, p, 6, at(0s)));
  REQUIRE(take_now(log, p, 2, at(500ms)));
  log.remove(100, at(500ms));
  CHECK(log.available(p, at(500ms)) == 4);
}

TEST_CASE("a booking that is cancelled keeps nobody waiting, though it was the only one",
          "[sliding_log]") {
  const limiter_plan p = plan_of(2, 1s, 9s);
  sliding_log log(p);
  const booking b = log.book(p, 1, at(0s), at(500ms), at(9s));
  REQUIRE(b.at == at(500ms));
  log.remove(1, b.at);
  CHECK(log.next_free(p, at(0s)) == 0s);
}

TEST_CASE("what is added counts for a period from then, whatever the clock did", "[sliding_log]") {
  SECTION("again and again") {
    const limiter_plan p = plan_of(10, 1s);
    sliding_log log(p);
    for (int i = 0; i < 1000; ++i) log.add(p, 1, at(i * 100ms));
    CHECK(log.available(p, at(999 * 100ms + 550ms)) == 5);
  }
  SECTION("after it jumped back") {
    const limiter_plan p = plan_of(3, 1s, 1s);
    sliding_log log(p);
    REQUIRE(take_now(log, p, 1, at(200h)));
    REQUIRE(take_now(log, p, 1, at(200h + 100ms)));
    log.add(p, 1, at(0s));
    CHECK(log.available(p, at(500ms)) == 0);
    CHECK(log.available(p, at(1s)) == 3);
  }
  SECTION("where others wait") {
    const limiter_plan p = plan_of(2, 1s, 9s);
    sliding_log log(p);
    REQUIRE(take_now(log, p, 2, at(0s)));
    REQUIRE(log.book(p, 1, at(0s), at(0s), at(9s)).at == at(1s));
    log.add(p, 1, at(0s));
    CHECK(log.available(p, at(1500ms)) == 0);
    CHECK(log.available(p, at(2s)) == 2);
  }
}
