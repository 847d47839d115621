// SPDX-License-Identifier: BSL-1.0
// What opens a circuit: the rates over its window, slow calls, calls that hang, a predicate.
#include <thread>

#include "../support/breaker_calls.hpp"
#include "../support/seed.hpp"

using namespace test;

TEST_CASE("rates: slow calls open by their own rate, and are no failures if told so", "[breaker]") {
  breaker_core b({.consecutive_failures = 3,
                  .failure_rate = 0.5,
                  .slow_rate = 0.75,
                  .slow_counts_as_failure = false,
                  .minimum_calls = 8});
  change_log log(b);
  calls(2, b, verdict::success, at(0s));
  calls(5, b, verdict::slow, at(0s));
  CHECK(b.snapshot(at(0s)).consecutive_failures == 0);
  CHECK(b.snapshot(at(0s)).slow_in_window == 5);
  CHECK(b.snapshot(at(0s)).failed_in_window == 0);
  CHECK(b.state() == breaker_state::closed);
  CHECK(call(b, verdict::slow, at(0s)));  // 6 of 8
  CHECK(b.state() == breaker_state::open);
  CHECK(log.causes() == std::vector{breaker_cause::slow_rate});
}

TEST_CASE("rates: failed or slow is one rate by default", "[breaker]") {
  breaker_core b({.consecutive_failures = 0, .failure_rate = 0.5, .minimum_calls = 8});
  change_log log(b);
  calls(4, b, verdict::success, at(0s));
  calls(2, b, verdict::slow, at(0s));
  calls(1, b, verdict::failure, at(0s));
  CHECK(b.state() == breaker_state::closed);
  CHECK(call(b, verdict::overloaded, at(0s)));  // 4 of 8, neither rate by itself
  CHECK(log.causes() == std::vector{breaker_cause::failure_rate});
}

TEST_CASE("rates: a share that is reached exactly opens, as decimals are written", "[breaker]") {
  for (const auto& [rate, bad] : {std::pair{0.55, 55}, {0.07, 7}, {0.14, 14}, {0.28, 28},
                                  {0.29, 29}, {0.56, 56}, {0.57, 57}, {0.58, 58}}) {
    INFO(rate);
    breaker_core b({.consecutive_failures = 0, .failure_rate = rate, .minimum_calls = 100});
    calls(100 - bad, b, verdict::success, at(0s));
    calls(bad - 1, b, verdict::failure, at(0s));
    CHECK(b.state() == breaker_state::closed);  // not yet 100 calls
    CHECK(call(b, verdict::failure, at(0s)));
    CHECK(b.state() == breaker_state::open);

    breaker_core one_less({.consecutive_failures = 0, .failure_rate = rate, .minimum_calls = 100});
    calls(101 - bad, one_less, verdict::success, at(0s));
    calls(bad - 1, one_less, verdict::failure, at(0s));
    CHECK(one_less.state() == breaker_state::closed);
  }
}

TEST_CASE("rates: several rules at once, whichever is broken first", "[breaker]") {
  breaker_core b({.consecutive_failures = 4,
                  .failure_rate = 0.5,
                  .slow_rate = 0.2,
                  .slow_counts_as_failure = false,
                  .minimum_calls = 10});
  change_log log(b);
  SECTION("in a row, below the minimum of calls") {
    calls(4, b, verdict::failure, at(0s));
    CHECK(log.causes() == std::vector{breaker_cause::consecutive_failures});
  }
  SECTION("failures") {
    for (int i = 0; i < 5; ++i) {
      call(b, verdict::success, at(0s));
      call(b, verdict::failure, at(0s));
    }
    CHECK(log.causes() == std::vector{breaker_cause::failure_rate});
  }
  SECTION("slow calls") {
    calls(8, b, verdict::success, at(0s));
    calls(2, b, verdict::slow, at(0s));
    CHECK(log.causes() == std::vector{breaker_cause::slow_rate});
  }
}

TEST_CASE("rates: a call that takes long is slow, whatever its classifier says", "[breaker]") {
  breaker_core b({.consecutive_failures = 0,
                  .slow_rate = 0.5,
                  .slow_after = 2s,
                  .window = 100s,
                  .minimum_calls = 4});
  CHECK(call(b, verdict::success, at(0s), 2s - 16ns));  // its start is kept to 16 ns
  CHECK(call(b, verdict::failure, at(0s), 3s));         // failed and slow
  auto s = b.snapshot(at(3s));
  CHECK(s.slow_in_window == 1);
  CHECK(s.failed_in_window == 1);
  CHECK(s.bad_in_window == 1);
  CHECK(s.calls_in_window == 2);
  CHECK(call(b, verdict::success, at(3s)));
  CHECK(b.state() == breaker_state::closed);
  CHECK(call(b, verdict::success, at(3s), 2s));  // 2 of 4
  CHECK(b.state() == breaker_state::open);
}

TEST_CASE("rates: calls that hang count as slow while they hang", "[breaker]") {
  breaker_core b({.consecutive_failures = 0,
                  .slow_rate = 0.5,
                  .slow_after = 8s,
                  .window = 100s,
                  .minimum_calls = 10});
  change_log log(b);
  CHECK(calls(5, b, verdict::success, at(0s)) == 5);
  std::vector<breaker_permit> hang;
  for (int i = 0; i < 10; ++i) hang.push_back(enter(b, at(0s)));
  CHECK(b.snapshot(at(8s)).hanging == 0);
  CHECK(b.snapshot(at(9s)).hanging == 10);  // to an eighth of the limit
  CHECK(b.snapshot(at(9s)).slow_in_window == 10);
  CHECK(b.snapshot(at(9s)).calls_in_window == 15);
  SECTION("and open the circuit as the next call comes, before any of them has ended") {
    breaker_permit permit;
    CHECK_FALSE(b.try_enter(permit, at(9s)));
    CHECK(log.causes() == std::vector{breaker_cause::slow_rate});
    CHECK(b.snapshot(at(9s)).hanging == 0);  // from before the change
    for (const auto& p : hang) b.leave(p, verdict::failure, at(20s));
    CHECK(call(b, verdict::success, at(39s)));
    CHECK(b.state() == breaker_state::closed);
    CHECK(b.snapshot(at(39s)).calls_in_window == 0);
  }
  SECTION("and no longer once they have ended, whatever they say") {
    const auto end = GENERATE(verdict::neutral, verdict::success);
    for (const auto& p : hang) b.leave(p, end, at(5s));
    CHECK(b.snapshot(at(20s)).hanging == 0);
    CHECK(call(b, verdict::success, at(20s)));
    CHECK(b.state() == breaker_state::closed);
  }
  SECTION("and not twice when they end slow") {
    for (int i = 0; i < 6; ++i)
      b.leave(hang[static_cast<std::size_t>(i)], verdict::neutral, at(9s));
    b.leave(hang[6], verdict::success, at(9s));
    CHECK(b.snapshot(at(9s)).slow_in_window == 4);
    CHECK(b.snapshot(at(9s)).hanging == 3);
    CHECK(b.snapshot(at(9s)).calls_in_window == 9);
  }
}

TEST_CASE("rates: the last n calls, whenever they were", "[breaker]") {
  breaker_core b({.consecutive_failures = 0,
                  .failure_rate = 0.5,
                  .window_calls = 10,
                  .minimum_calls = 4});
  hf::time_point t = at(0s);
  const auto one = [&](verdict v) { return call(b, v, t += 24h); };
  for (int i = 0; i < 3; ++i) CHECK(one(verdict::failure));
  CHECK(b.state() == breaker_state::closed);  // below the minimum
  b.reset(t);
  CHECK(b.snapshot(t).calls_in_window == 0);
  for (int i = 0; i < 40; ++i) CHECK(one(i % 10 < 4 ? verdict::failure : verdict::success));
  CHECK(b.snapshot(t).calls_in_window == 10);
  CHECK(b.snapshot(t).bad_in_window == 4);
  CHECK(b.state() == breaker_state::closed);
  for (int i = 0; i < 4; ++i) CHECK(one(verdict::failure));  // in place of the four oldest
  CHECK(b.state() == breaker_state::closed);
  CHECK(one(verdict::failure));  // in place of a good one
  CHECK(b.state() == breaker_state::open);
}

TEST_CASE("rates: a predicate over the window", "[breaker]") {
  std::vector<hf::breaker_window> asked;
  breaker_core b({.consecutive_failures = 0,
                  .opens_if =
                      [&](const hf::breaker_window& w) {
                        asked.push_back(w);
                        return w.failed >= 3 && w.slow >= 1;
                      },
                  .minimum_calls = 5});
  change_log log(b);
  calls(3, b, verdict::failure, at(0s));
  calls(1, b, verdict::success, at(0s));
  CHECK(asked.empty());  // below the minimum
  calls(1, b, verdict::success, at(0s));
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].calls == 5);
  CHECK(asked[0].failed == 3);
  CHECK(asked[0].bad == 3);
  CHECK(asked[0].consecutive_failures == 0);
  calls(1, b, verdict::success, at(0s));  // after each good one too
  CHECK(asked.size() == 2);
  CHECK(b.state() == breaker_state::closed);
  calls(1, b, verdict::slow, at(0s));
  CHECK(log.causes() == std::vector{breaker_cause::predicate});
}

TEST_CASE("rates: a predicate that throws opens nothing and is counted", "[breaker]") {
  breaker_core b({.consecutive_failures = 0,
                  .opens_if = [](const hf::breaker_window&) -> bool { throw 1; },
                  .minimum_calls = 1});
  CHECK(calls(7, b, verdict::failure, at(0s)) == 7);
  CHECK(b.state() == breaker_state::closed);
  CHECK(b.snapshot(at(0s)).listener_errors == 7);
}

TEST_CASE("rates: a predicate may ask and change the breaker", "[breaker]") {
  breaker_core* self = nullptr;
  breaker_core b({.consecutive_failures = 0,
                  .opens_if =
                      [&](const hf::breaker_window&) {
                        self->isolate(at(0s));
                        return true;
                      },
                  .minimum_calls = 1});
  self = &b;
  CHECK(call(b, verdict::failure, at(0s)));
  CHECK(b.state() == breaker_state::isolated);
}

TEST_CASE("rates: good calls are judged as the window slides, though once a period", "[breaker]") {
  // What a breaker leaves out since it cannot change anything is held against asking every time.
  breaker_core b(
      {.consecutive_failures = 0, .failure_rate = 0.5, .window = 10s, .minimum_calls = 6});
  breaker_core always({.consecutive_failures = 0,
                       .opens_if = [](const auto& w) { return w.bad * 2 >= w.calls; },
                       .window = 10s,
                       .minimum_calls = 6});
  hf::time_point t = at(0s);
  const test::seed seed(GENERATE(range(1u, 60u)));
  std::uint64_t random = seed;
  int opened = 0;
  for (int i = 0; i < 4000; ++i) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    t += hf::duration(static_cast<std::int64_t>((random >> 33) % 400'000'000));
    const verdict v = (random >> 20) % 100 < 40 ? verdict::failure : verdict::success;
    REQUIRE(call(b, v, t) == call(always, v, t));
    REQUIRE(b.state() == always.state());
    opened += b.state() == breaker_state::open;
  }
  CHECK(opened > 0);
}

TEST_CASE("by hand: disabled admits everything and counts nothing", "[breaker]") {
  breaker_core b({.consecutive_failures = 2, .failure_rate = 0.5, .minimum_calls = 1});
  change_log log(b);
  const auto before = enter(b, at(0s));
  b.disable(at(0s));
  CHECK(calls(50, b, verdict::failure, at(0s)) == 50);
  b.leave(before, verdict::failure, at(0s));
  CHECK(b.state() == breaker_state::disabled);
  CHECK(b.snapshot(at(0s)).calls_in_window == 0);
  CHECK(b.snapshot(at(0s)).consecutive_failures == 0);
  const auto during = enter(b, at(0s));
  b.reset(at(1s));
  b.leave(during, verdict::failure, at(1s));
  CHECK(b.snapshot(at(1s)).consecutive_failures == 0);
  CHECK(log.causes() == std::vector{breaker_cause::disabled_by_hand, breaker_cause::reset_by_hand});
}

TEST_CASE("by hand: metrics_only counts and never opens", "[breaker]") {
  const hf::duration slow_after = GENERATE(as<hf::duration>(), 0s, 1s);
  breaker_core b({.consecutive_failures = 2,
                  .failure_rate = 0.5,
                  .slow_after = slow_after,
                  .minimum_calls = 1});
  change_log log(b);
  calls(2, b, verdict::failure, at(0s));
  REQUIRE(b.state() == breaker_state::open);
  b.observe(at(0s));  // from any state
  CHECK(calls(50, b, verdict::failure, at(0s)) == 50);
  CHECK(calls(50, b, verdict::success, at(0s)) == 50);
  CHECK(calls(3, b, verdict::failure, at(0s)) == 3);
  CHECK(b.state() == breaker_state::metrics_only);
  CHECK(b.snapshot(at(0s)).calls_in_window == 103);
  CHECK(b.snapshot(at(0s)).bad_in_window == 53);
  CHECK(b.snapshot(at(0s)).consecutive_failures == 3);
  b.reset(at(0s));
  CHECK(b.snapshot(at(0s)).calls_in_window == 0);
  CHECK(calls(9, b, verdict::failure, at(0s)) == 1);
  CHECK(log.causes().size() == 4);
}

TEST_CASE("rates: a call that hangs is bad as well", "[breaker]") {
  breaker_core b({.slow_rate = 1, .slow_after = 8s, .window = 100s});
  CHECK(call(b, verdict::failure, at(0s)));
  const auto hangs = enter(b, at(0s));
  CHECK(b.snapshot(at(9s)).bad_in_window == 2);
  b.leave(hangs, verdict::success, at(9s));
}

TEST_CASE("rates: calls hang by any limit, to 16 ns", "[breaker]") {
  breaker_core b({.slow_rate = 1, .slow_after = 4ns, .window = 100s});
  const auto hangs = enter(b, at(0s));
  CHECK(b.snapshot(at(15ns)).hanging == 0);
  CHECK(b.snapshot(at(16ns)).hanging == 1);
  b.leave(hangs, verdict::success, at(16ns));
}

TEST_CASE("rates: a call that hangs longer than twice the limit is still known", "[breaker]") {
  breaker_core b({.slow_rate = 1, .slow_after = 8s, .window = 100s});
  b.reset(at(0s));
  const auto first = enter(b, at(0s));
  const auto second = enter(b, at(16s));  // where the first one was noted
  CHECK(b.snapshot(at(30s)).hanging == 2);
  b.leave(first, verdict::neutral, at(30s));
  CHECK(b.snapshot(at(30s)).hanging == 1);
  b.leave(second, verdict::neutral, at(30s));
  CHECK(b.snapshot(at(30s)).hanging == 0);
}

TEST_CASE("rates: a call may end on another thread than it began", "[breaker]") {
  breaker_core b({.slow_rate = 1, .slow_after = 8s, .window = 100s});
  const auto ours = enter(b, at(0s));
  breaker_permit theirs;
  std::thread([&] { theirs = enter(b, at(0s)); }).join();
  CHECK(b.snapshot(at(10s)).hanging == 2);
  b.leave(theirs, verdict::neutral, at(10s));
  CHECK(b.snapshot(at(10s)).hanging == 1);
  b.leave(ours, verdict::neutral, at(10s));
  CHECK(b.snapshot(at(10s)).hanging == 0);
}
