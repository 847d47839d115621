// SPDX-License-Identifier: BSL-1.0
// Bugs that other libraries shipped, B: stale results and transitions.
#include <array>
#include <atomic>
#include <catch2/catch_all.hpp>
#include <holdfast/policy/circuit_breaker.hpp>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::breaker_cause;
using hf::breaker_state;
using hf::verdict;
using hf::detail::breaker_core;
using hf::detail::breaker_permit;

namespace {

hf::time_point at(hf::duration d) { return hf::time_point(1h + d); }

breaker_permit enter(breaker_core& b, hf::time_point t) {
  breaker_permit permit;
  REQUIRE(b.try_enter(permit, t));
  return permit;
}

void fail(breaker_core& b, hf::time_point t, int times = 1) {
  for (int i = 0; i < times; ++i) b.leave(enter(b, t), verdict::failure, t);
}

}  // namespace

TEST_CASE("bug 10: a result of an earlier half-open period has no say in a later one",
          "[conformance]") {
  breaker_core b({.consecutive_failures = 1, .open_for = 10s, .half_open_probes = 2});
  fail(b, at(0s));
  const auto slow = enter(b, at(10s));
  const auto quick = enter(b, at(10s));
  b.leave(quick, verdict::failure, at(11s));  // open again
  const auto current = enter(b, at(21s));
  const auto late = GENERATE(verdict::success, verdict::failure, verdict::neutral);
  b.leave(slow, late, at(22s));
  CHECK(b.state() == breaker_state::half_open);
  CHECK(b.snapshot(at(22s)).probes_in_flight == 1);
  CHECK(b.snapshot(at(22s)).probe_successes == 0);
  b.leave(current, verdict::success, at(23s));
  CHECK(b.state() == breaker_state::closed);
}

TEST_CASE("bug 10: a result from before the circuit opened does not close or reopen it",
          "[conformance]") {
  breaker_core b({.consecutive_failures = 1, .open_for = 10s});
  const auto early = enter(b, at(0s));
  const auto early_too = enter(b, at(0s));
  fail(b, at(1s));
  b.leave(early, verdict::success, at(2s));
  CHECK(b.state() == breaker_state::open);
  b.leave(enter(b, at(11s)), verdict::success, at(11s));
  REQUIRE(b.state() == breaker_state::closed);
  b.leave(early_too, verdict::failure, at(12s));
  CHECK(b.state() == breaker_state::closed);
  CHECK(b.snapshot(at(12s)).consecutive_failures == 0);
}

TEST_CASE("bug 11: more failures at once than it takes still let it recover", "[conformance]") {
  breaker_core b({.consecutive_failures = 5, .open_for = 10s});
  std::vector<breaker_permit> running;
  for (int i = 0; i < 6; ++i) running.push_back(enter(b, at(0s)));
  for (const auto& p : running) b.leave(p, verdict::failure, at(1s));
  CHECK(b.state() == breaker_state::open);
  CHECK(b.snapshot(at(1s)).generation == 1);
  b.leave(enter(b, at(11s)), verdict::success, at(11s));
  CHECK(b.state() == breaker_state::closed);
}

TEST_CASE("bug 12: failures that come in while open do not extend it", "[conformance]") {
  breaker_core b({.consecutive_failures = 2, .open_for = 10s});
  std::vector<breaker_permit> late;
  for (int i = 0; i < 9; ++i) late.push_back(enter(b, at(0s)));
  fail(b, at(0s), 2);
  for (int i = 0; i < 9; ++i) {
    b.leave(late[static_cast<std::size_t>(i)], verdict::failure, at(1s * (i + 1)));
    CHECK(b.remaining_open(at(1s * (i + 1))) == 9s - 1s * i);
  }
  breaker_permit permit;
  CHECK(b.try_enter(permit, at(10s)));
}

TEST_CASE("bug 13: an open circuit always has its time", "[conformance][threads]") {
  // Real threads, which open, probe and close one breaker as fast as they can. Time is a counter.
  breaker_core b({.consecutive_failures = 1, .open_for = 100ns});
  std::atomic<std::int64_t> time{1'000'000};
  std::atomic<bool> done{false};
  std::atomic<bool> forgotten{false};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 30'000; ++i) {
          const hf::time_point now(hf::duration(time.fetch_add(7)));
          breaker_permit permit;
          if (!b.try_enter(permit, now)) continue;
          b.leave(permit, (i + t) % 2 ? verdict::failure : verdict::success, now);
        }
        if (t == 0) done = true;
      });
    }
    threads.emplace_back([&] {
      while (!done) {
        const hf::time_point now(hf::duration(time.load()));
        // An open circuit whose time is lost would be open for ever. The others may have gone on
        // meanwhile, and have opened it later than `now`.
        const hf::duration remaining = b.remaining_open(now);
        const hf::time_point after(hf::duration(time.load()));
        if (remaining > 100ns + (after - now)) forgotten = true;
      }
    });
  }
  CHECK_FALSE(forgotten);
  const hf::time_point end(hf::duration(time.load() + 1000));
  b.leave(enter(b, end), verdict::success, end);  // whatever the state, it serves again
  CHECK(b.state() == breaker_state::closed);
}

TEST_CASE("bug 14: who loses the race to open sees an open circuit", "[conformance][threads]") {
  // Real threads: each brings a failure that is enough to open the circuit, at the same instant.
  constexpr std::size_t rounds = 10'000;
  constexpr std::size_t racers = 2;
  std::vector<std::unique_ptr<breaker_core>> breakers;
  std::vector<std::array<breaker_permit, racers>> running(rounds);
  for (auto& permits : running) {
    breakers.push_back(std::make_unique<breaker_core>(
        hf::circuit_breaker_options{.consecutive_failures = 1}));
    for (auto& p : permits) p = enter(*breakers.back(), at(0s));
  }
  std::atomic<int> saw_closed{0};
  std::atomic<std::size_t> arrived{0};
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < racers; ++t) {
      threads.emplace_back([&, t] {
        for (std::size_t round = 0; round < rounds; ++round) {
          auto& b = *breakers[round];
          ++arrived;
          // No lock: it would let them go one by one.
          for (int spins = 0; arrived < (round + 1) * racers; ++spins) {
            if (spins > 1000) std::this_thread::yield();
          }
          b.leave(running[round][t], verdict::failure, at(1s));
          breaker_permit permit;
          if (b.state() != breaker_state::open || b.try_enter(permit, at(1s))) ++saw_closed;
        }
      });
    }
  }
  CHECK(saw_closed == 0);
  for (const auto& b : breakers) {
    REQUIRE(b->snapshot(at(1s)).generation == 1);  // opened once
  }
}

TEST_CASE("bug 15: a listener may call the breaker, from within its call", "[conformance]") {
  hf::circuit_breaker breaker({.consecutive_failures = 1, .open_for = 10s});
  auto& b = *breaker.core();
  std::vector<breaker_state> seen;
  const auto sub = breaker.on_transition([&](const hf::breaker_transition& t) {
    seen.push_back(t.to);
    CHECK(breaker.snapshot(at(0s)).generation >= t.generation);
    if (t.to == breaker_state::open) breaker.isolate(at(0s));
    if (t.to == breaker_state::isolated) breaker.reset(at(0s));
  });
  fail(b, at(0s));
  CHECK(seen == std::vector{breaker_state::open, breaker_state::isolated, breaker_state::closed});
  CHECK(breaker.state() == breaker_state::closed);
}

TEST_CASE("bug 15: threads that change the state give one unbroken chain of events",
          "[conformance][threads]") {
  // Real threads.
  breaker_core b({.consecutive_failures = 1, .open_for = 1ns});
  std::vector<hf::breaker_transition> seen;
  auto sub = b.on_transition([&](const hf::breaker_transition& t) { seen.push_back(t); });
  std::atomic<std::int64_t> time{1'000'000};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 5'000; ++i) {
          const hf::time_point now(hf::duration(time.fetch_add(5)));
          if (t == 0 && i % 16 == 0) i % 32 ? b.reset(now) : b.isolate(now);
          breaker_permit permit;
          if (!b.try_enter(permit, now)) continue;
          b.leave(permit, i % 3 ? verdict::failure : verdict::success, now);
        }
      });
    }
  }
  b.reset(at(0s));  // delivers whatever is left
  REQUIRE(seen.size() > 100);
  breaker_state last = breaker_state::closed;
  std::uint64_t generation = 0;
  for (const auto& t : seen) {
    REQUIRE(t.from == last);
    REQUIRE(t.generation == ++generation);
    last = t.to;
  }
  const auto count = seen.size();
  sub.cancel();
  fail(b, at(1s));
  CHECK(seen.size() == count);  // none after the unsubscription
}

TEST_CASE("bug 16: a listener that throws leaves the change whole", "[conformance]") {
  breaker_core b({.consecutive_failures = 1, .open_for = 10s});
  int heard = 0;
  const auto bad = b.on_transition([](const hf::breaker_transition&) { throw 1; });
  const auto good = b.on_transition([&](const hf::breaker_transition&) { ++heard; });
  CHECK_NOTHROW(fail(b, at(0s)));
  CHECK(b.state() == breaker_state::open);
  CHECK(b.remaining_open(at(0s)) == 10s);
  CHECK_NOTHROW(b.leave(enter(b, at(10s)), verdict::success, at(10s)));
  CHECK(b.state() == breaker_state::closed);
  CHECK(heard == 3);
  CHECK(b.snapshot(at(10s)).listener_errors == 3);
}

TEST_CASE("bug 17: nothing of an earlier state acts after reset or isolate", "[conformance]") {
  breaker_core b({.consecutive_failures = 1, .open_for = 10s});
  SECTION("the open time that was running does not half-open a reset circuit") {
    fail(b, at(0s));
    b.reset(at(1s));
    for (int i = 0; i < 20; ++i) {
      const auto permit = enter(b, at(1s * i + 1s));
      CHECK_FALSE(permit.is_probe());
      b.leave(permit, verdict::success, at(1s * i + 1s));
    }
    CHECK(b.state() == breaker_state::closed);
  }
  SECTION("nor an isolated one") {
    fail(b, at(0s));
    b.isolate(at(1s));
    breaker_permit permit;
    CHECK_FALSE(b.try_enter(permit, at(100s)));
    CHECK(b.state() == breaker_state::isolated);
  }
  SECTION("a probe that was running decides nothing") {
    fail(b, at(0s));
    const auto probe = enter(b, at(10s));
    const bool isolate = GENERATE(true, false);
    isolate ? b.isolate(at(11s)) : b.reset(at(11s));
    const auto state = b.state();
    b.leave(probe, GENERATE(verdict::success, verdict::failure), at(12s));
    CHECK(b.state() == state);
  }
}

TEST_CASE("bug 18: a circuit that closes has nothing in its window", "[conformance]") {
  breaker_core b({.consecutive_failures = 0,
                  .failure_rate = 0.5,
                  .window = 100s,
                  .minimum_calls = 4,
                  .open_for = 10s,
                  .successes_to_close = 3});
  fail(b, at(0s), 4);
  REQUIRE(b.state() == breaker_state::open);
  for (int i = 0; i < 3; ++i) b.leave(enter(b, at(10s)), verdict::success, at(10s));
  REQUIRE(b.state() == breaker_state::closed);
  CHECK(b.snapshot(at(10s)).calls_in_window == 0);
  fail(b, at(10s), 3);  // with the old four it would be 100 % of seven
  CHECK(b.state() == breaker_state::closed);
  CHECK(b.snapshot(at(10s)).calls_in_window == 3);
  fail(b, at(10s));
  CHECK(b.state() == breaker_state::open);
}
