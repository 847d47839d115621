// SPDX-License-Identifier: BSL-1.0
// The rate limiter's schedule by hand, against a token bucket that is counted without rounding.
#include <algorithm>
#include <catch2/catch_all.hpp>
#include <holdfast/detail/gcra.hpp>
#include <random>
#include <vector>

#include "../support/seed.hpp"

namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::detail::booking;
using hf::detail::gcra;
using hf::detail::limiter_plan;
using options = hf::rate_limiter_options;

namespace {

__extension__ typedef __int128 wide;

constexpr hf::time_point start{1h};
hf::time_point at(hf::duration d) { return start + d; }

struct event {
  hf::time_point when;
  std::uint64_t units;
};

/// The most units that any stretch of time between two events holds beyond what it may: not
/// positive. `burst` and t * permits / period, rounded down.
std::int64_t worst_excess(const std::vector<event>& admitted, const limiter_plan& p) {
  std::int64_t worst = std::numeric_limits<std::int64_t>::min();
  const auto& o = p.options;
  for (std::size_t i = 0; i < admitted.size(); ++i) {
    std::int64_t sum = 0;
    for (std::size_t j = i; j < admitted.size(); ++j) {
      sum += static_cast<std::int64_t>(admitted[j].units);
      const wide t = (admitted[j].when - admitted[i].when).count();
      const auto may = o.burst + static_cast<std::int64_t>(t * o.permits / o.period.count());
      worst = std::max(worst, sum - may);
    }
  }
  return worst;
}

/// A token bucket in fractions of 1 / period of a permit.
class exact_bucket {
 public:
  explicit exact_bucket(const limiter_plan& p)
      : permits_(p.options.permits), period_(p.options.period.count()),
        most_(wide{p.options.burst} * period_), level_(most_) {}
  bool take(std::uint32_t units, hf::time_point now) {
    level_ = std::min(most_, level_ + wide{(now - last_).count()} * permits_);
    last_ = now;
    if (level_ < wide{units} * period_) return false;
    level_ -= wide{units} * period_;
    return true;
  }

 private:
  wide permits_, period_, most_, level_;
  hf::time_point last_ = start;
};

bool take_now(gcra& g, const limiter_plan& p, std::uint32_t units, hf::time_point now) {
  return g.book(p, units, now, now).what == booking::kind::admitted;
}

}  // namespace

TEST_CASE("an idle limiter admits its burst at once, then one per interval", "[gcra]") {
  const limiter_plan p(options{.permits = 10, .period = 1s, .burst = 3});
  gcra g;
  for (int i = 0; i < 3; ++i) CHECK(g.take(p, 1, at(0s), 0s));
  CHECK_FALSE(g.take(p, 1, at(0s), 0s));
  CHECK_FALSE(g.take(p, 1, at(100ms - 1ns), 0s));
  CHECK(g.take(p, 1, at(100ms), 0s));
  CHECK_FALSE(g.take(p, 1, at(100ms), 0s));
  for (int i = 0; i < 3; ++i) CHECK(g.take(p, 1, at(10s), 0s));
  CHECK_FALSE(g.take(p, 1, at(10s), 0s));
}

TEST_CASE("permits come at their exact time, whatever does not divide evenly", "[gcra]") {
  // Rates whose interval is no whole number of nanoseconds.
  const auto permits = GENERATE(3u, 7u, 9u, 6u, 30u, 63u, 90u, 700u);
  const limiter_plan p(options{.permits = permits, .period = 1s, .burst = 2});
  gcra g;
  REQUIRE(take_now(g, p, 2, at(0s)));
  for (std::uint64_t i = 1; i <= 20 * permits; ++i) {
    // Rounded up to the nanosecond.
    const auto due =
        hf::duration(static_cast<std::int64_t>((i * 1'000'000'000 + permits - 1) / permits));
    REQUIRE_FALSE(take_now(g, p, 1, at(due - 1ns)));
    REQUIRE(take_now(g, p, 1, at(due)));
  }
}

TEST_CASE("an interval that must be rounded makes the rate slower by next to nothing", "[gcra]") {
  const limiter_plan p(
      options{.permits = 999'983, .period = 1s, .burst = 1, .max_wait = 1min});
  gcra g;
  std::uint64_t units = 0;
  while (g.book(p, 1, at(0s), at(1s)).what != booking::kind::refused) ++units;
  CHECK(units <= 999'983 + 1);
  CHECK(units >= 999'983 - 16);
}

TEST_CASE("a schedule is a token bucket", "[gcra]") {
  const test::seed seed(GENERATE(range(1u, 31u)));
  std::mt19937_64 random(seed);
  const std::uint32_t rates[] = {1, 3, 7, 10, 21, 63, 100, 450, 9000};
  const hf::duration periods[] = {1ms, 1s, 60s, 1h};
  const limiter_plan p(options{.permits = rates[random() % 9],
                               .period = periods[random() % 4],
                               .burst = static_cast<std::uint32_t>(1 + random() % 20)});
  gcra g;
  exact_bucket reference(p);
  std::vector<event> admitted;
  hf::time_point now = start;
  const auto interval = p.options.period.count() / p.options.permits;
  for (int i = 0; i < 2000; ++i) {
    // Now and then an idle time, mostly about as fast as permits come.
    const std::int64_t gap = random() % 40 == 0 ? interval * 100 : 2 * interval + 1;
    now += hf::duration(static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(gap)));
    const auto units =
        static_cast<std::uint32_t>(1 + random() % std::min(p.options.burst, std::uint32_t{3}));
    const bool expected = reference.take(units, now);
    const bool got = random() % 2 ? g.take(p, units, now, 0s) : take_now(g, p, units, now);
    REQUIRE(got == expected);
    if (got) admitted.push_back({now, units});
  }
  CHECK(admitted.size() > 50);
  if (admitted.size() > 400) admitted.resize(400);
  CHECK(worst_excess(admitted, p) == 0);  // the bound is reached, and holds
}

TEST_CASE("bug 31: rounding never lets a permit in, at any rate", "[conformance][gcra]") {
  const test::seed seed(GENERATE(range(1u, 41u)));
  std::mt19937_64 random(seed);
  const limiter_plan p(options{.permits = static_cast<std::uint32_t>(1 + random() % 1'000'000),
                               .period = hf::duration(static_cast<std::int64_t>(
                                   1'000'000 + random() % 10'000'000'000)),
                               .burst = static_cast<std::uint32_t>(1 + random() % 5)});
  gcra g;
  std::vector<event> admitted;
  hf::time_point now = start;
  const auto interval =
      static_cast<std::uint64_t>(p.options.period.count() / p.options.permits + 1);
  for (int i = 0; i < 3000; ++i) {
    now += hf::duration(static_cast<std::int64_t>(random() % interval));
    if (take_now(g, p, 1, now)) admitted.push_back({now, 1});
  }
  REQUIRE(admitted.size() > 500);
  admitted.resize(500);
  CHECK(worst_excess(admitted, p) <= 0);
}

TEST_CASE("a clock that is behind never lets a permit in early", "[gcra]") {
  const test::seed seed(GENERATE(range(1u, 31u)));
  std::mt19937_64 random(seed);
  constexpr hf::duration tick = 4ms;
  const bool roomy = seed % 2 == 0;
  const limiter_plan p(options{.permits = roomy ? 1000u : 100u,
                               .period = 1s,
                               .burst = static_cast<std::uint32_t>(roomy ? 100 + random() % 50
                                                                         : 1 + random() % 15)});
  REQUIRE(p.guess_start == roomy);
  gcra g;
  std::vector<event> admitted;
  hf::time_point now = start + hf::duration(static_cast<std::int64_t>(random() % 4'000'000));
  const auto interval = static_cast<std::uint64_t>(p.options.period.count() / p.options.permits);
  unsigned at_once = 0;
  for (int i = 0; i < 3000; ++i) {
    if (random() % 300 == 0) now += 2s;
    if (random() % 3) now += hf::duration(static_cast<std::int64_t>(random() % interval));
    const hf::time_point coarse(now.time_since_epoch() / tick * tick);
    if (g.take(p, 1, coarse, tick)) {
      ++at_once;
    } else if (!take_now(g, p, 1, now)) {
      continue;
    }
    admitted.push_back({now, 1});
  }
  REQUIRE(admitted.size() > 300);
  if (roomy) CHECK(at_once > admitted.size() / 2);
  if (admitted.size() > 600) admitted.resize(600);
  CHECK(worst_excess(admitted, p) <= 0);
}

TEST_CASE("a clock that is behind gives nothing twice", "[gcra]") {
  const limiter_plan p(options{.permits = 1000, .period = 1s, .burst = 64});
  REQUIRE(p.guess_start);
  gcra g;
  const auto taken_at = [&](hf::duration now, hf::duration coarse) {
    unsigned taken = 0;
    while (g.take(p, 1, at(coarse), 4ms) || take_now(g, p, 1, at(now))) ++taken;
    return taken;
  };
  SECTION("where the store was full but for a tick's worth") {
    REQUIRE(take_now(g, p, 63, at(0s)));
    CHECK(g.available(p, at(61ms)) == 62);
    const unsigned taken = taken_at(61ms, 60ms);
    CHECK(taken <= 62);
    CHECK(taken >= 62 - 4);
  }
  SECTION("where the store was filled in the tick in which it was begun with") {
    REQUIRE(g.take(p, 1, at(0s), 4ms));
    g.refund(p, 20, at(0s));
    REQUIRE(take_now(g, p, 62, at(0s)));
    CHECK(taken_at(0s, 0s) == 2);
  }
}

TEST_CASE("a clock that is behind refuses nobody who comes in time", "[gcra]") {
  SECTION("the burst of an idle limiter, to its last permit") {
    const limiter_plan p(options{.permits = 100, .period = 1s, .burst = 100});
    REQUIRE(p.guess_start);
    gcra g;
    const hf::time_point now = at(3900us);
    unsigned taken = 0;
    while (g.take(p, 1, at(0s), 4ms) || take_now(g, p, 1, now)) ++taken;
    CHECK(taken == 100);
  }
  SECTION("one at a time, as slowly as allowed") {
    const limiter_plan p(options{.permits = 100, .period = 1s, .burst = 1});
    gcra g;
    for (int i = 0; i < 100; ++i) {
      const hf::time_point now = at(3900us + i * 10ms);
      const hf::time_point coarse(now.time_since_epoch() / 4ms * 4ms);
      REQUIRE((g.take(p, 1, coarse, 4ms) || take_now(g, p, 1, now)));
    }
  }
}

TEST_CASE("who waits is told the time at once, in order of arrival", "[gcra]") {
  const limiter_plan p(options{.permits = 10, .period = 1s, .burst = 2, .max_wait = 350ms});
  gcra g;
  REQUIRE(take_now(g, p, 2, at(0s)));
  for (int i = 1; i <= 3; ++i) {
    const booking b = g.book(p, 1, at(0s), at(350ms));
    REQUIRE(b.what == booking::kind::later);
    CHECK(b.at == at(i * 100ms));
  }
  const booking late = g.book(p, 1, at(0s), at(350ms));
  CHECK(late.what == booking::kind::refused);
  CHECK(late.at == at(400ms));  // nothing was taken: the next one hears the same
  CHECK(g.book(p, 1, at(0s), at(350ms)).at == at(400ms));
  CHECK(g.book(p, 2, at(0s), at(500ms)).at == at(500ms));
  CHECK(g.available(p, at(0s)) == 0);
}

TEST_CASE("more than the burst at once is never had", "[gcra]") {
  const limiter_plan p(options{.permits = 10, .period = 1s, .burst = 5, .max_wait = 1h});
  gcra g;
  const booking b = g.book(p, 6, at(0s), at(1h));
  CHECK(b.what == booking::kind::refused);
  CHECK(b.at == hf::never);
  CHECK_FALSE(g.take(p, 6, at(0s), 0s));
  CHECK(g.available(p, at(0s)) == 5);
}

TEST_CASE("a booking that is not used goes back if nobody is behind it", "[gcra]") {
  const limiter_plan p(options{.permits = 10, .period = 1s, .burst = 1, .max_wait = 1s});
  gcra g;
  REQUIRE(take_now(g, p, 1, at(0s)));
  const booking a = g.book(p, 1, at(0s), at(1s));
  const booking b = g.book(p, 1, at(0s), at(1s));
  REQUIRE(b.at == at(200ms));
  SECTION("the last first") {
    g.cancel(p, 1, b.mark);
    g.cancel(p, 1, a.mark);
    CHECK(g.book(p, 1, at(0s), at(1s)).at == at(100ms));
  }
  SECTION("one with others behind it: their times are fixed, its own is free") {
    g.cancel(p, 1, a.mark);
    CHECK(g.next_free(p, at(0s)) == 100ms);
    const booking again = g.book(p, 1, at(0s), at(1s));
    CHECK(again.at == at(100ms));
    CHECK(g.book(p, 1, at(0s), at(1s)).at == at(300ms));
  }
  SECTION("a time that has passed is nobody's") {
    g.cancel(p, 1, a.mark);
    CHECK(g.book(p, 1, at(100ms) + 1ns, at(1s)).at == at(300ms));
  }
  SECTION("too late is refused, and takes nothing") {
    g.cancel(p, 1, a.mark);
    const booking refused = g.book(p, 1, at(0s), at(99ms));
    CHECK(refused.what == booking::kind::refused);
    CHECK(refused.at == at(100ms));
    CHECK(g.book(p, 1, at(0s), at(1s)).at == at(100ms));
  }
  SECTION("the service's silence covers it as well") {
    g.cancel(p, 1, a.mark);
    g.hold(at(150ms));
    CHECK(g.book(p, 1, at(0s), at(1s)).at == at(300ms));
  }
  SECTION("none is left of before a conversion") {
    g.cancel(p, 1, a.mark);
    g.convert(p, p, at(0s));
    CHECK(g.book(p, 1, at(0s), at(1s)).at == at(300ms));
    g.cancel(p, 1, b.mark);
    CHECK(g.book(p, 1, at(0s), at(1s)).at == at(400ms));
  }
}

TEST_CASE("bookings that nobody uses leave nothing behind, in whatever order they go", "[gcra]") {
  const limiter_plan p(options{.permits = 1, .period = 1s, .burst = 1, .max_wait = 20s});
  gcra g;
  REQUIRE(take_now(g, p, 1, at(0s)));
  std::vector<booking> waiting;
  for (int i = 1; i <= 20; ++i) {
    waiting.push_back(g.book(p, 1, at(0s), at(20s)));
    REQUIRE(waiting.back().at == at(i * 1s));
  }
  const test::seed seed(GENERATE(range(0u, 30u)));
  std::mt19937_64 random(seed);
  if (seed > 1) std::ranges::shuffle(waiting, random);
  if (seed == 1) std::ranges::reverse(waiting);
  for (const booking& b : waiting) g.cancel(p, 1, b.mark);
  CHECK(g.book(p, 1, at(0s), at(20s)).at == at(1s));
  CHECK(g.available(p, at(10s)) == 1);
  CHECK(take_now(g, p, 1, at(10s)));
}

TEST_CASE("of a burst, what passed unused and what was given back last come together", "[gcra]") {
  const limiter_plan p(options{.permits = 1, .period = 1s, .burst = 5, .max_wait = 20s});
  gcra g;
  REQUIRE(take_now(g, p, 5, at(0s)));
  std::vector<booking> waiting;
  for (int i = 1; i <= 6; ++i) waiting.push_back(g.book(p, 1, at(0s), at(20s)));
  // At 3 s three permits have come that nobody took; the other three bookings still stand.
  for (int i = 0; i < 3; ++i) g.cancel(p, 1, waiting[static_cast<std::size_t>(i)].mark);
  CHECK(g.book(p, 5, at(3s), at(3s)).what == booking::kind::refused);
  for (int i = 3; i < 6; ++i) g.cancel(p, 1, waiting[static_cast<std::size_t>(i)].mark);
  CHECK(g.available(p, at(3s)) == 3);
}

TEST_CASE("a permit that came unused while others wait is there for who comes", "[gcra]") {
  const limiter_plan p(options{.permits = 1, .period = 1s, .burst = 5, .max_wait = 20s});
  gcra g;
  REQUIRE(take_now(g, p, 5, at(0s)));
  const booking unused = g.book(p, 1, at(0s), at(20s));
  REQUIRE(g.book(p, 1, at(0s), at(20s)).at == at(2s));
  g.cancel(p, 1, unused.mark);
  const booking b = g.book(p, 1, at(1500ms), at(20s));
  CHECK(b.what == booking::kind::admitted);
  CHECK(b.at == at(1500ms));
  CHECK(g.book(p, 1, at(1500ms), at(20s)).at == at(3s));
}

TEST_CASE("what goes back into the store is not free once more between bookings", "[gcra]") {
  const limiter_plan p(options{.permits = 1, .period = 1s, .burst = 5, .max_wait = 20s});
  gcra g;
  REQUIRE(take_now(g, p, 5, at(0s)));
  const booking hole = g.book(p, 1, at(0s), at(20s));
  REQUIRE(g.book(p, 1, at(0s), at(20s)).at == at(2s));
  g.cancel(p, 1, hole.mark);
  g.refund(p, 3, at(2s));  // nobody waits: the schedule goes back behind the hole
  REQUIRE(g.available(p, at(2s)) == 3);
  CHECK(take_now(g, p, 3, at(2s)));
  CHECK(g.book(p, 1, at(2s), at(20s)).at == at(3s));
}

TEST_CASE("permits that were not used come back", "[gcra]") {
  const limiter_plan p(options{.permits = 10, .period = 1s, .burst = 4, .max_wait = 1s});
  gcra g;
  SECTION("to the store, which never holds more than the burst") {
    REQUIRE(take_now(g, p, 3, at(0s)));
    g.refund(p, 2, at(0s));
    CHECK(g.available(p, at(0s)) == 3);
    g.refund(p, 100, at(0s));
    CHECK(g.available(p, at(0s)) == 4);
    REQUIRE(take_now(g, p, 4, at(0s)));
    CHECK_FALSE(take_now(g, p, 1, at(0s)));
  }
  SECTION("to those who come next, where others wait, whose times stay") {
    REQUIRE(take_now(g, p, 4, at(0s)));
    const booking b = g.book(p, 1, at(0s), at(1s));
    REQUIRE(b.at == at(100ms));
    g.refund(p, 2, at(0s));
    CHECK(take_now(g, p, 2, at(0s)));
    CHECK_FALSE(take_now(g, p, 1, at(0s)));
    CHECK(g.book(p, 1, at(0s), at(1s)).at == at(200ms));
  }
  SECTION("a credit fades, and is never more than the burst") {
    REQUIRE(take_now(g, p, 4, at(0s)));
    REQUIRE(g.book(p, 4, at(0s), at(1s)).at == at(400ms));
    g.refund(p, 100, at(0s));
    CHECK_FALSE(take_now(g, p, 3, at(200ms)));
    CHECK(take_now(g, p, 2, at(200ms)));
    CHECK_FALSE(take_now(g, p, 1, at(200ms)));
  }
}

TEST_CASE("what cost more than was reserved is owed", "[gcra]") {
  const limiter_plan p(
      options{.permits = 10, .period = 1s, .burst = 4, .max_wait = 10s, .max_hint = 5s});
  gcra g;
  REQUIRE(take_now(g, p, 1, at(0s)));
  g.charge(p, 7, at(0s));
  CHECK(g.available(p, at(0s)) == 0);
  CHECK_FALSE(take_now(g, p, 1, at(400ms)));
  CHECK(g.book(p, 1, at(400ms), at(10s)).at == at(500ms));
  SECTION("but not for longer than max_hint") {
    g.charge(p, ~std::uint64_t{0}, at(1s));
    CHECK(g.next_free(p, at(1s)) == 5100ms);  // the debt is paid at 6 s, then a permit comes
  }
  SECTION("and cost zero waits while it is") {
    CHECK_FALSE(g.take(p, 0, at(0s), 0s));
    CHECK(g.take(p, 0, at(500ms), 0s));
  }
}

TEST_CASE("nobody is admitted before the time that the service asked for", "[gcra]") {
  const limiter_plan p(options{.permits = 10, .period = 1s, .burst = 2, .max_wait = 3s});
  gcra g;
  g.hold(at(2s));
  g.hold(at(1s));  // never shortened
  CHECK_FALSE(g.take(p, 1, at(2s - 1ns), 0s));
  CHECK_FALSE(take_now(g, p, 1, at(2s - 1ns)));
  CHECK(g.next_free(p, at(1s)) == 1s);
  // Who waits is admitted from then on, as far apart as ever.
  for (const auto due : {2000ms, 2000ms, 2100ms, 2200ms}) {
    CHECK(g.book(p, 1, at(0s), at(3s)).at == at(due));
  }
}

TEST_CASE("the service's word for what it has left lowers the store, and never raises it",
          "[gcra]") {
  const limiter_plan p(options{.permits = 10, .period = 1s, .burst = 5});
  gcra g;
  g.leave_at_most(p, 2, at(0s));
  CHECK(g.available(p, at(0s)) == 2);
  g.leave_at_most(p, 4, at(0s));
  CHECK(g.available(p, at(0s)) == 2);
  CHECK(g.available(p, at(100ms)) == 3);
}

TEST_CASE("bug 21: a clock that jumps back or forth leaves a limiter that works",
          "[conformance][gcra]") {
  const limiter_plan p(
      options{.permits = 10, .period = 1s, .burst = 3, .max_wait = 1s, .max_hint = 10s});
  gcra g;
  const hf::time_point later = at(24h);
  for (int i = 0; i < 3; ++i) REQUIRE(take_now(g, p, 1, later));
  REQUIRE(g.book(p, 1, later, later + 1s).what == booking::kind::later);
  SECTION("back by a day: nothing is in store, but permits come") {
    g.hold(later + 10s);
    CHECK_FALSE(g.take(p, 1, start, 0s));
    const booking b = g.book(p, 1, start, start + 1s);
    CHECK(b.at == start + 100ms);
    CHECK(take_now(g, p, 1, start + 200ms));
  }
  SECTION("back by a little: as if no time had passed") {
    CHECK_FALSE(take_now(g, p, 1, later - 50ms));
    CHECK(g.book(p, 1, later - 50ms, later + 1s).at == later + 200ms);
  }
  SECTION("forth by a hundred years: one burst") {
    const hf::time_point far = later + 24h * 36'500;
    int admitted = 0;
    for (int i = 0; i < 10; ++i) admitted += take_now(g, p, 1, far) ? 1 : 0;
    CHECK(admitted <= 3);
    CHECK(take_now(g, p, 1, far + 1s));
  }
}

TEST_CASE("the extremes of every option", "[gcra]") {
  SECTION("the longest interval") {
    const limiter_plan p(
        options{.permits = 1, .period = 24h * 365, .burst = 1, .max_wait = 24h * 365});
    gcra g;
    CHECK(take_now(g, p, 1, at(0s)));
    const booking b = g.book(p, 1, at(0s), hf::never);
    CHECK(b.what == booking::kind::later);
    CHECK(b.at == at(24h * 365));
    g.charge(p, ~std::uint64_t{0}, at(0s));
    g.refund(p, ~std::uint64_t{0}, at(0s));
  }
  SECTION("the largest burst") {
    constexpr auto most = std::numeric_limits<std::uint32_t>::max();
    const limiter_plan p(options{.permits = most, .period = 10s, .burst = most});
    gcra g;
    CHECK(g.take(p, most, at(0s), 0s));
    CHECK_FALSE(take_now(g, p, 1, at(0s)));
    CHECK(take_now(g, p, 1, at(3ns)));
    CHECK(g.available(p, at(1h)) == most);
  }
  SECTION("one a nanosecond") {
    const limiter_plan p(options{.permits = 1000, .period = 1us, .burst = 1});
    gcra g;
    for (int i = 0; i < 100; ++i) REQUIRE(g.take(p, 1, at(i * 1ns), 0s));
    CHECK_FALSE(g.take(p, 1, at(99ns), 0s));
  }
  SECTION("a clock that is near its end") {
    const limiter_plan p(options{.permits = 10, .period = 1s, .burst = 1, .max_wait = 1s});
    gcra g;
    const hf::time_point end = hf::never - 10ms;
    CHECK(take_now(g, p, 1, end));
    CHECK(g.book(p, 1, end, hf::never).at == hf::never);
  }
}

TEST_CASE("a new plan keeps what was taken", "[gcra]") {
  const limiter_plan slow(options{.permits = 10, .period = 1s, .burst = 10, .max_wait = 1s});
  const limiter_plan fast(options{.permits = 100, .period = 1s, .burst = 20, .max_wait = 1s}, slow);
  gcra g;
  REQUIRE(take_now(g, slow, 6, at(0s)));
  g.convert(slow, fast, at(0s));
  CHECK(g.available(fast, at(0s)) == 4);
  const limiter_plan small(options{.permits = 1, .period = 1s, .burst = 2, .max_wait = 1s}, fast);
  g.convert(fast, small, at(0s));
  CHECK(g.available(small, at(0s)) == 2);
  REQUIRE(take_now(g, small, 2, at(0s)));
  REQUIRE(g.book(small, 1, at(0s), at(1s)).at == at(1s));
  g.convert(small, fast, at(0s));  // one is booked for later, at whatever rate
  CHECK(g.next_free(fast, at(0s)) == 20ms);
}

TEST_CASE("a limiter that was never used is full, whatever the clock says", "[gcra]") {
  const auto now = GENERATE(hf::time_point{}, start, hf::time_point(24h * 365 * 5),
                            hf::time_point(24h * 365 * 100));
  const limiter_plan p(options{.permits = 10, .period = 1s, .burst = 3});
  gcra g;
  CHECK(g.available(p, now) == 3);
  CHECK(take_now(g, p, 3, now));
  CHECK_FALSE(take_now(g, p, 1, now));
}

TEST_CASE("what is owed is the longest hint at most, and no less at a slow rate", "[gcra]") {
  const limiter_plan p(
      options{.permits = 1, .period = 10s, .burst = 1, .max_wait = 0s, .max_hint = 15s});
  gcra g;
  g.charge(p, 1'000'000, at(0s));
  CHECK(g.next_free(p, at(0s)) == 25s);
}

TEST_CASE("nothing is there to be had while the service wants no calls", "[gcra]") {
  const limiter_plan p(options{.permits = 10, .period = 1s, .burst = 3});
  gcra g;
  g.hold(at(1s));
  CHECK(g.available(p, at(1s - 1ns)) == 0);
  CHECK(g.available(p, at(1s)) == 3);
}

TEST_CASE("more than the burst comes back to those who wait: the credit is the burst", "[gcra]") {
  const limiter_plan p(options{.permits = 10, .period = 1s, .burst = 2, .max_wait = 1min});
  gcra g;
  for (int i = 0; i < 5; ++i) g.book(p, 1, at(0s), hf::never);
  g.refund(p, 2, at(0s));
  g.refund(p, 1, at(0s));
  CHECK(g.book(p, 2, at(0s), hf::never).what == booking::kind::admitted);
  CHECK(g.book(p, 1, at(0s), hf::never).what == booking::kind::later);
}
