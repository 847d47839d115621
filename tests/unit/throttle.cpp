// SPDX-License-Identifier: BSL-1.0
// The throttle by hand, against services that accept what they like.
#include <atomic>
#include <catch2/catch_all.hpp>
#include <holdfast/invalid_options.hpp>
#include <holdfast/policy/throttle.hpp>
#include <limits>
#include <random>
#include <thread>
#include <vector>

namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::time_point;
using hf::verdict;
using hf::detail::throttle_core;

namespace {

constexpr time_point start{1h};

/// The rule alone: no least rate, no largest share.
hf::throttle_options bare(double multiplier = 2.0) {
  return {.multiplier = multiplier, .window = 120s, .min_per_second = 0, .max_rejection = 1};
}

/// Where no random number is needed: would turn everything away.
std::uint64_t never_asked() {
  FAIL_CHECK("a random number was asked for");
  return 0;
}

/// Calls one after another, each answered at once.
struct load {
  throttle_core& core;
  std::mt19937_64 random{3};
  time_point now = start;
  int sent = 0;
  int rejected = 0;
  int accepted = 0;

  /// `n` wishes, evenly spread over `span`; `accepts(i)` is the service's word on the i-th.
  template <class Accepts>
  void run(int n, hf::duration span, Accepts accepts) {
    for (int i = 0; i < n; ++i) {
      now += span / n;
      if (core.try_enter(now, [this] { return random(); })) {
        ++sent;
        const bool accepted_it = accepts(i);
        accepted += accepted_it;
        core.leave(accepted_it ? verdict::success : verdict::overloaded);
      } else {
        ++rejected;
      }
    }
  }
  void clear() { sent = rejected = accepted = 0; }
};

void put(throttle_core& core, verdict v, int times, time_point now = start) {
  for (int i = 0; i < times; ++i) {
    REQUIRE(core.try_enter(now, [] { return ~std::uint64_t{0}; }));  // the luckiest number
    core.leave(v);
  }
}

}  // namespace

TEST_CASE("throttle: the share is the rule's, to the last call", "[throttle]") {
  throttle_core core(bare());
  CHECK(core.rejection() == 0.0);
  for (int bad = 0; bad < 50; ++bad) {
    for (int good = 0; good < 50; ++good) {
      throttle_core c(bare(1.5));
      put(c, verdict::success, good);
      put(c, verdict::failure, bad);
      const double n = good + bad;
      REQUIRE(c.rejection() == Catch::Approx(std::max(0.0, (n - 1.5 * good) / (n + 1))));
    }
  }
}

TEST_CASE("throttle: a healthy service costs no random number", "[throttle]") {
  throttle_core core(bare());
  for (int i = 0; i < 10'000; ++i) {
    REQUIRE(core.try_enter(start + i * 1ms, never_asked));
    core.leave(i % 2 ? verdict::slow : verdict::success);
  }
}

TEST_CASE("throttle: which verdicts are accepts", "[throttle]") {
  for (const auto v : {verdict::success, verdict::slow, verdict::request_fault}) {
    throttle_core core(bare());
    put(core, v, 10);
    CHECK(core.snapshot(start).requests == 10);
    CHECK(core.snapshot(start).accepts == 10);
  }
  for (const auto v : {verdict::failure, verdict::throttled, verdict::overloaded}) {
    throttle_core core(bare());
    put(core, v, 10);
    CHECK(core.snapshot(start).requests == 10);
    CHECK(core.snapshot(start).accepts == 0);
    CHECK(core.rejection() == Catch::Approx(10.0 / 11));
  }
  throttle_core core(bare());
  put(core, verdict::neutral, 10);
  CHECK(core.snapshot(start).requests == 0);
  CHECK(core.snapshot(start).accepts == 0);
  CHECK(core.rejection() == 0.0);
}

TEST_CASE("throttle: a call counts when it is sent", "[throttle]") {
  throttle_core core(bare());
  for (int i = 0; i < 10; ++i) REQUIRE(core.try_enter(start, never_asked));
  CHECK(core.snapshot(start).requests == 10);
  CHECK(core.snapshot(start).accepts == 0);
}

TEST_CASE("throttle: those turned away count as requests", "[throttle]") {
  throttle_core core(bare());
  put(core, verdict::failure, 1);
  for (int i = 0; i < 9; ++i) CHECK_FALSE(core.try_enter(start, [] { return std::uint64_t{0}; }));
  CHECK(core.snapshot(start).requests == 10);
  CHECK(core.rejection() == Catch::Approx(10.0 / 11));
  CHECK(core.snapshot(start).rejected == 9);
}

TEST_CASE("throttle: the share is turned away of the random numbers below it", "[throttle]") {
  throttle_core core(bare(1.0));
  put(core, verdict::failure, 1);
  REQUIRE(core.rejection() == 0.5);
  constexpr std::uint64_t half = std::uint64_t{1} << 63;
  CHECK(core.try_enter(start, [] { return half; }));
  REQUIRE(core.rejection() > 0.5);
  core.leave(verdict::neutral);
  REQUIRE(core.rejection() == 0.5);
  CHECK_FALSE(core.try_enter(start, [] { return half - 1; }));
}

TEST_CASE("throttle: a service that takes half of it is not throttled at two for one",
          "[throttle]") {
  throttle_core core(bare(2.0));
  load l{core};
  l.run(100'000, 600s, [](int i) { return i % 2 == 0; });
  CHECK(l.rejected == 0);
}

TEST_CASE("throttle: the load settles at `multiplier` for each accepted call", "[throttle]") {
  const auto multiplier = GENERATE(1.1, 1.5, 2.0, 3.0);
  const auto capacity = GENERATE(10, 30);  // of a hundred wishes, the service accepts so many
  throttle_core core(bare(multiplier));
  load l{core};
  // The service accepts the first calls of each second, up to its capacity.
  int second = -1;
  int left = 0;
  const auto accepts = [&](int) {
    const auto s = static_cast<int>((l.now - start) / 1s);
    if (s != second) {
      second = s;
      left = capacity;
    }
    return left-- > 0;
  };
  l.run(100 * 400, 400s, accepts);
  l.clear();
  l.run(100 * 600, 600s, accepts);
  CAPTURE(multiplier, capacity);
  CHECK(l.sent == Catch::Approx(multiplier * l.accepted).epsilon(0.03));
  // At 1.1 chance leaves some seconds with fewer calls than the service would accept.
  CHECK(l.accepted >= 0.85 * capacity * 600);
}

TEST_CASE("throttle: of a service that accepts nothing, one call per window is made",
          "[throttle]") {
  throttle_core core(bare());
  load l{core};
  const auto none = [](int) { return false; };
  l.run(12'000, 120s, none);
  l.clear();
  l.run(12'000 * 100, 12'000s, none);
  CHECK(l.sent > 60);  // a hundred windows
  CHECK(l.sent < 145);
}

TEST_CASE("throttle: never closes altogether", "[throttle]") {
  auto o = bare();
  o.max_rejection = 0.9;
  throttle_core core(o);
  load l{core};
  l.run(20'000, 20s, [](int) { return false; });
  l.clear();
  l.run(100'000, 100s, [](int) { return false; });
  CHECK(l.sent == Catch::Approx(10'000).epsilon(0.05));
  SECTION("and opens again when the service does, within three windows") {
    l.run(360'000, 360s, [](int) { return true; });
    l.clear();
    l.run(10'000, 10s, [](int) { return true; });
    CHECK(l.rejected == 0);
  }
}

TEST_CASE("throttle: nothing is turned away below the least rate", "[throttle]") {
  auto o = bare();
  o.min_per_second = 5;
  throttle_core core(o);
  load l{core};
  l.run(599, 119s, [](int) { return false; });
  CHECK(l.rejected == 0);
  l.run(60'000, 120s, [](int) { return false; });
  CHECK(l.rejected > 50'000);
  // The rate falls, and with it the throttle goes.
  l.run(360, 120s, [](int) { return false; });
  l.clear();
  l.run(360, 120s, [](int) { return false; });
  CHECK(l.rejected == 0);
}

TEST_CASE("throttle: what is older than the window is forgotten", "[throttle]") {
  throttle_core core(bare());
  put(core, verdict::failure, 1000);
  CHECK(core.rejection() > 0.99);
  CHECK(core.snapshot(start + 119s).rejection > 0.99);
  CHECK(core.try_enter(start + 120s, never_asked));
}

TEST_CASE("throttle: zero as the largest share only counts", "[throttle]") {
  auto o = bare();
  o.max_rejection = 0;
  throttle_core core(o);
  load l{core};
  l.run(10'000, 10s, [](int) { return false; });
  CHECK(l.rejected == 0);
  CHECK(core.snapshot(l.now).requests == 10'000);
}

TEST_CASE("throttle: reconfigure keeps what was counted", "[throttle]") {
  throttle_core core([] {
    auto o = bare();
    o.name = "t";
    return o;
  }());
  put(core, verdict::success, 25);
  put(core, verdict::failure, 75);
  core.reconfigure(bare(1.0), start);
  CHECK(core.rejection() == Catch::Approx(75.0 / 101));
  CHECK(core.name() == "t");
  CHECK(core.options().name == "t");
  auto longer = bare(1.0);
  longer.window = 1000s;
  core.reconfigure(longer, start + 60s);
  CHECK(core.snapshot(start + 900s).requests == 100);
  CHECK(core.snapshot(start + 1100s).requests == 0);
  CHECK_THROWS_AS(core.reconfigure({.multiplier = 0.5}, start), hf::invalid_options);
  CHECK(core.options().multiplier == 1.0);
}

TEST_CASE("throttle: a shorter window forgets at once what it does not reach", "[throttle]") {
  throttle_core core(bare());
  put(core, verdict::failure, 100);
  auto shorter = bare();
  shorter.window = 30s;
  core.reconfigure(shorter, start + 60s);
  CHECK(core.rejection() == 0.0);
  CHECK(core.snapshot(start + 60s).requests == 0);
  CHECK(core.try_enter(start + 60s, never_asked));
}

TEST_CASE("throttle: threads, a live change and a count that is right in the end",
          "[throttle][threads]") {
  // Real threads.
  throttle_core core(bare(1000));
  std::atomic<int> admitted{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&core, &admitted, t] {
        std::mt19937_64 random(static_cast<unsigned>(t));
        for (int i = 0; i < 20'000; ++i) {
          const time_point now = start + i * 100us;
          if (!core.try_enter(now, [&] { return random(); })) continue;
          ++admitted;
          core.leave(i % 3 == 0 ? verdict::failure : verdict::success);
        }
      });
    }
    for (int i = 0; i < 200; ++i) {
      auto o = bare(1.0 + i % 5);
      o.window = 60s + 1s * (i % 60);
      core.reconfigure(o, start);
      const auto s = core.snapshot(start);
      REQUIRE(s.rejection >= 0.0);
      REQUIRE(s.rejection <= 1.0);
    }
  }
  const auto s = core.snapshot(start + 2s);
  CHECK(admitted + static_cast<int>(s.rejected) == 80'000);
}

TEST_CASE("throttle: every option out of range is refused, all at once", "[throttle][options]") {
  const auto faults = [](hf::throttle_options o) -> std::size_t {
    try {
      const hf::throttle t(std::move(o));
      return 0;
    } catch (const hf::invalid_options& e) {
      CHECK_THAT(e.what(), Catch::Matchers::StartsWith("throttle 'x'"));
      return e.faults().size();
    }
  };
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(faults({}) == 0);
  CHECK(faults({.name = "x", .multiplier = 0.99}) == 1);
  CHECK(faults({.name = "x", .multiplier = nan}) == 1);
  CHECK(faults({.name = "x", .window = 999us}) == 1);
  CHECK(faults({.name = "x", .min_per_second = -1}) == 1);
  CHECK(faults({.name = "x", .max_rejection = 1.1}) == 1);
  CHECK(faults({.name = "x",
                .multiplier = 0,
                .window = -1s,
                .min_per_second = nan,
                .max_rejection = -1}) == 4);
}
