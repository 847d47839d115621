// SPDX-License-Identifier: BSL-1.0
// Bugs that other libraries shipped, C: windows, counting, permits. Row 30 (live resize) is in
// async/bulkhead.cpp; row 31 (rate limiter) waits for what it is about.
#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <catch2/catch_all.hpp>
#include <random>

#include "../support/stage.hpp"
#include "../support/timed_window.hpp"

using namespace std::chrono_literals;
using namespace test;
using hf::breaker_state;
using hf::verdict;

namespace {

hf::time_point at(hf::duration d) { return hf::time_point(1h + d); }

asio::awaitable<int> fail() {
  throw std::runtime_error("down");
  co_return 0;
}

asio::awaitable<int> second_long() {
  co_await hf::sleep_for(1s);
  co_return 1;
}

unsigned failures(const hf::circuit_breaker& b, const stage& s) {
  return b.snapshot(s.time.now()).consecutive_failures;
}

}  // namespace

TEST_CASE("bug 19: a bucket that is used again begins at zero, whatever was in it",
          "[conformance]") {
  const test::seed seed(GENERATE(range(1u, 21u)));
  std::mt19937_64 random(seed);
  striped_window w(10s);
  hf::time_point now = at(0s);
  std::uint64_t added_good = 0;
  std::uint64_t added_bad = 0;
  for (int turn = 0; turn < 300; ++turn) {
    // Nothing of the turns before is left after a window: what is summed is what was added since.
    now += 10s + hf::duration(static_cast<std::int64_t>(random() % 30'000'000'000));
    added_good = added_bad = 0;
    const auto period = now.time_since_epoch() / 1s * 1s;
    for (std::uint64_t i = random() % 50; i > 0; --i) {
      now = hf::time_point(period +
                           hf::duration(static_cast<std::int64_t>(random() % 9'000'000'000)));
      random() % 2 ? (w.add_good(now), ++added_good) : (w.add_bad(now), ++added_bad);
    }
    now = hf::time_point(period + 9s);
    REQUIRE(w.sum(now).good == added_good);
    REQUIRE(w.sum(now).bad() == added_bad);
  }
}

TEST_CASE("bug 20: the smallest and the largest windows work", "[conformance]") {
  const auto window = GENERATE(as<hf::duration>(), 10ns, 11ns, 20ns, 1ms, 24h * 365 * 100,
                               hf::duration::max());
  hf::detail::breaker_core b({.consecutive_failures = 0,
                              .failure_rate = 1.0,
                              .window = window,
                              .minimum_calls = GENERATE(1u, 2u),
                              .open_for = 10s});
  for (int i = 0; i < 2 && b.state() == breaker_state::closed; ++i) {
    hf::detail::breaker_permit permit;
    REQUIRE(b.try_enter(permit, at(0s)));
    b.leave(permit, verdict::failure, at(0s));
  }
  CHECK(b.state() == breaker_state::open);
}

TEST_CASE("bug 20: a minimum of one call, and of very many", "[conformance]") {
  using o = hf::circuit_breaker_options;
  hf::detail::breaker_core one(
      o{.consecutive_failures = 0, .failure_rate = 0.001, .minimum_calls = 1});
  hf::detail::breaker_core many(o{.consecutive_failures = 0,
                                  .failure_rate = 0.001,
                                  .minimum_calls = std::numeric_limits<unsigned>::max()});
  for (auto* b : {&one, &many}) {
    for (int i = 0; i < 1000; ++i) {
      hf::detail::breaker_permit permit;
      if (b->try_enter(permit, at(0s))) b->leave(permit, verdict::failure, at(0s));
    }
  }
  CHECK(one.state() == breaker_state::open);
  CHECK(one.snapshot(at(0s)).refused == 999);
  CHECK(many.state() == breaker_state::closed);
}

TEST_CASE("bug 21: a clock that jumps back or forward leaves nothing negative or stuck",
          "[conformance]") {
  const auto jump = GENERATE(as<hf::duration>(), -50min, -5min, -11s, -1s, 1s, 5min, 24h * 365);
  hf::detail::breaker_core b({.consecutive_failures = 0,
                              .failure_rate = 0.5,
                              .window = 10s,
                              .minimum_calls = 4,
                              .open_for = 10s});
  const auto call = [&b](verdict v, hf::time_point t) {
    hf::detail::breaker_permit permit;
    if (!b.try_enter(permit, t)) return false;
    b.leave(permit, v, t);
    return true;
  };
  for (int i = 0; i < 9; ++i)
    REQUIRE(call(i % 3 < 2 ? verdict::success : verdict::failure, at(0s)));
  hf::time_point now = at(jump);
  // A healthy service stays served ...
  for (int i = 0; i < 1000; ++i) REQUIRE(call(verdict::success, now += 100ms));
  const auto s = b.snapshot(now);
  CHECK(s.state == breaker_state::closed);
  CHECK(s.bad_in_window == 0);
  CHECK(s.calls_in_window >= 90);
  CHECK(s.calls_in_window <= 100);
  // ... and a sick one still opens the circuit, which still recovers.
  while (call(verdict::failure, now)) {
  }
  CHECK(b.state() == breaker_state::open);
  CHECK(call(verdict::success, now + 10s));
  CHECK(b.state() == breaker_state::closed);
}

TEST_CASE("bug 22: the caller's cancellation is not a failure of the service", "[conformance]") {
  const int shape = GENERATE(0, 1, 2);
  // Some calls end as Asio ends them, some wrap the cancellation into an exception of their own.
  const bool wraps = GENERATE(false, true);
  stage s;
  hf::circuit_breaker breaker({.consecutive_failures = 1});
  const auto call = [wraps](hf::call_context& ctx) -> asio::awaitable<int> {
    try {
      co_await hf::sleep_for(10s, ctx.token());
    } catch (const boost::system::system_error&) {
      if (!wraps) throw;
      throw std::runtime_error("could not read the answer");
    }
    co_return 1;
  };
  const auto bare = hf::pipeline().with(breaker);
  const auto timed = hf::pipeline().with(hf::timeout{1min}).with(breaker);
  const auto full = hf::pipeline()
                        .with(hf::timeout{1min})
                        .with(breaker)
                        .with(hf::retry{.max_attempts = 5})
                        .with(hf::timeout{5min});
  std::optional<hf::result<int>> result;
  int attempts = 0;
  const auto scene = [&]() -> asio::awaitable<void> {
    const auto counted = [&](hf::call_context& ctx) -> asio::awaitable<int> {
      ++attempts;
      return call(ctx);
    };
    if (shape == 0) result.emplace(co_await bare(counted));
    if (shape == 1) result.emplace(co_await timed(counted));
    if (shape == 2) result.emplace(co_await full(counted));
  };
  asio::cancellation_signal stop;
  bool ended = false;
  asio::co_spawn(
      s.context, scene,
      asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr) { ended = true; }));
  s.time.run_for(1s);
  stop.emit(asio::cancellation_type::terminal);
  s.time.run_for(0s);
  CHECK(ended);
  CHECK(attempts == 1);
  CHECK(breaker.state() == breaker_state::closed);
  CHECK(failures(breaker, s) == 0);
  if (result && !wraps) CHECK(result->error().code() == hf::condition::cancelled);
}

TEST_CASE("bug 23: errors of a single request do not open the circuit for everybody",
          "[conformance]") {
  stage s;
  hf::circuit_breaker breaker({.consecutive_failures = 2, .failure_rate = 0.1, .minimum_calls = 2});
  const auto pipe = hf::pipeline().with(breaker).with(hf::retry{.max_attempts = 3});
  int asked = 0;
  const auto bad_request = [&]() -> asio::awaitable<int> {
    ++asked;
    throw boost::system::system_error(
        make_error_code(boost::system::errc::invalid_argument), "no such model");
    co_return 0;
  };
  s.play([&]() -> asio::awaitable<void> {
    for (int i = 0; i < 100; ++i) {
      const auto r = co_await pipe(bad_request);
      CHECK_THROWS_AS(r.value(), boost::system::system_error);
    }
  });
  CHECK(asked == 100);  // nor is it asked again
  CHECK(breaker.state() == breaker_state::closed);
  CHECK(breaker.snapshot(s.time.now()).calls_in_window == 0);
}

TEST_CASE("bug 24: a breaker inside a retry counts each attempt, around it each operation",
          "[conformance]") {
  stage s;
  hf::circuit_breaker breaker({.consecutive_failures = 100});
  const hf::retry retry{.max_attempts = 4, .wait = {.base = 10ms}};
  const auto inside = hf::pipeline().with(breaker).with(retry);
  const auto around = hf::pipeline().with(retry).with(breaker);
  s.play([&]() -> asio::awaitable<void> {
    auto r = co_await inside(fail);
    CHECK(r.error().attempts() == 4);
    CHECK(failures(breaker, s) == 4);
    r = co_await around(fail);
    CHECK(r.error().attempts() == 4);
    CHECK(failures(breaker, s) == 5);
  });
}

TEST_CASE("bug 25: a waiter that goes at the instant of the grant loses no permit",
          "[conformance]") {
  // The holder gives its permit back at the very instant at which the waiter is cancelled, or at
  // which its time in the queue is over; whose handler comes first depends on the order of arming.
  const bool by_timeout = GENERATE(true, false);
  const bool canceller_first = GENERATE(true, false);
  hf::bulkhead bulkhead({.limit = 1, .queue = 5, .max_queue_time = by_timeout ? 1s : 0s});
  int granted = 0;
  {
    stage s;
    const auto pipe = hf::pipeline().with(bulkhead);
    asio::cancellation_signal stop;
    const auto canceller = [&]() -> asio::awaitable<void> {
      co_await hf::sleep_for(1s);
      stop.emit(asio::cancellation_type::terminal);
    };
    const auto holder = [&]() -> asio::awaitable<void> {
      const auto r = co_await pipe(second_long);
      CHECK(r.has_value());
    };
    const auto waiter = [&]() -> asio::awaitable<void> {
      const auto r = co_await pipe(second_long);
      granted += r.has_value();
    };
    const auto wait = [&] {
      asio::co_spawn(s.context, waiter,
                     asio::bind_cancellation_slot(stop.slot(), [](std::exception_ptr) {}));
    };
    if (!by_timeout && canceller_first) s.start(canceller);
    s.start(holder);
    s.time.poll();
    wait();
    if (!by_timeout && !canceller_first) s.start(canceller);
    s.run();
  }
  CHECK(bulkhead.in_use() == 0);
  CHECK(bulkhead.waiting() == 0);
}

TEST_CASE("bug 25: a waiter destroyed between its grant and its resumption loses no permit",
          "[conformance]") {
  hf::bulkhead bulkhead({.limit = 1, .queue = 5});
  bool granted = false;
  {
    stage s;
    const auto pipe = hf::pipeline().with(bulkhead);
    s.start([&]() -> asio::awaitable<void> {
      const auto r = co_await pipe(second_long);
      CHECK(r.has_value());
      // The permit is the waiter's by now, who has yet to be resumed. End the run here.
      CHECK(bulkhead.in_use() == 1);
      CHECK(bulkhead.waiting() == 0);
      throw std::runtime_error("stop");
    });
    s.time.poll();
    s.start([&]() -> asio::awaitable<void> {
      const auto r = co_await pipe(second_long);
      granted = r.has_value();
    });
    CHECK_THROWS_WITH(s.time.run(), "stop");
  }
  CHECK_FALSE(granted);
  CHECK(bulkhead.in_use() == 0);
  CHECK(bulkhead.waiting() == 0);
}

TEST_CASE("bug 25: permits are all back after a storm of cancelled waiters",
          "[conformance][threads]") {
  // Real threads: holders on four threads give permits back while others' queue time runs out.
  hf::bulkhead bulkhead({.limit = 2, .queue = 1000, .max_queue_time = 2ms});
  const auto pipe = hf::pipeline().with(bulkhead);
  const auto short_call = []() -> asio::awaitable<int> {
    co_await hf::sleep_for(1ms);
    co_return 1;
  };
  std::atomic<int> served{0};
  std::atomic<int> refused{0};
  {
    asio::thread_pool pool(4);
    const auto scene = [&]() -> asio::awaitable<void> {
      for (int i = 0; i < 20; ++i) {
        const auto r = co_await pipe(short_call);
        ++(r.has_value() ? served : refused);
      }
    };
    for (int i = 0; i < 40; ++i) asio::co_spawn(pool, scene, [](std::exception_ptr) {});
    pool.join();
  }
  CHECK(served + refused == 800);
  CHECK(served > 0);
  CHECK(refused > 0);
  CHECK(bulkhead.in_use() == 0);
  CHECK(bulkhead.waiting() == 0);
  // Both permits are really there: two at once, not a third.
  CHECK(bulkhead.core()->try_acquire());
  CHECK(bulkhead.core()->try_acquire());
  CHECK_FALSE(bulkhead.core()->try_acquire());
  bulkhead.core()->release();
  bulkhead.core()->release();
}

TEST_CASE("bug 26: a call that fails after its timeout gives one permit and one failure",
          "[conformance]") {
  stage s;
  hf::bulkhead bulkhead({.limit = 3});
  hf::circuit_breaker breaker({.consecutive_failures = 100});
  const auto mode = GENERATE(hf::timeout_mode::cooperative, hf::timeout_mode::detach);
  const auto pipe = hf::pipeline()
                        .with(hf::timeout{.after = 1s, .mode = mode})
                        .with(breaker)
                        .with(bulkhead);
  bool failed_late = false;
  const auto stubborn = [&]() -> asio::awaitable<int> {
    // Deaf to the cancellation, and failing in the end.
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await hf::sleep_for(5s);
    failed_late = true;
    throw std::runtime_error("too late");
  };
  s.play([&]() -> asio::awaitable<void> {
    const auto r = co_await pipe(stubborn);
    REQUIRE(r.has_error());
    CHECK(bulkhead.in_use() == 0);
    CHECK(failures(breaker, s) == 1);
    co_await hf::sleep_for(10s);
    CHECK(failed_late);
    CHECK(bulkhead.in_use() == 0);  // not minus one, and no room for one more than the limit
    CHECK(failures(breaker, s) == 1);
  });
  for (int i = 0; i < 3; ++i) CHECK(bulkhead.core()->try_acquire());
  CHECK_FALSE(bulkhead.core()->try_acquire());
}

TEST_CASE("bug 27: never more calls at once than the limit, across threads",
          "[conformance][threads]") {
  // Real threads.
  constexpr int limit = 3;
  hf::bulkhead bulkhead({.limit = limit, .queue = 1000});
  const auto pipe = hf::pipeline().with(bulkhead);
  std::atomic<int> running{0};
  std::atomic<int> most{0};
  std::atomic<int> served{0};
  const auto call = [&]() -> asio::awaitable<int> {
    const int now = ++running;
    int seen = most;
    while (now > seen && !most.compare_exchange_weak(seen, now)) {
    }
    co_await asio::post(asio::deferred);
    --running;
    co_return 1;
  };
  {
    asio::thread_pool pool(4);
    const auto scene = [&]() -> asio::awaitable<void> {
      for (int i = 0; i < 50; ++i) {
        const auto r = co_await pipe(call);
        served += r.has_value();
      }
    };
    for (int i = 0; i < 100; ++i) asio::co_spawn(pool, scene, [](std::exception_ptr) {});
    pool.join();  // a dispatcher that stalls would hang here
  }
  CHECK(most <= limit);
  CHECK(served == 5000);
  CHECK(bulkhead.in_use() == 0);
}

TEST_CASE("bug 27: operations that are dropped in the queue, or with a permit, leave nothing",
          "[conformance]") {
  hf::bulkhead bulkhead({.limit = 2, .queue = 10});
  const auto pipe = hf::pipeline().with(bulkhead);
  {
    stage s;
    for (int i = 0; i < 8; ++i) {
      s.start([&]() -> asio::awaitable<void> {
        const auto r = co_await pipe(second_long);
        CHECK(r.has_value());
      });
    }
    s.time.run_for(1500ms);
    CHECK(bulkhead.in_use() == 2);
    CHECK(bulkhead.waiting() == 4);
  }
  CHECK(bulkhead.in_use() == 0);
  CHECK(bulkhead.waiting() == 0);
}

TEST_CASE("bug 28: the permit comes back when the call ends, not when its result dies",
          "[conformance]") {
  stage s;
  hf::bulkhead bulkhead({.limit = 1});
  const auto pipe = hf::pipeline().with(bulkhead);
  const auto call = []() -> asio::awaitable<std::shared_ptr<int>> {
    co_return std::make_shared<int>(1);
  };
  s.play([&]() -> asio::awaitable<void> {
    const auto first = co_await pipe(call);
    CHECK(bulkhead.in_use() == 0);
    const auto second = co_await pipe(call);
    CHECK(second.has_value());
    CHECK(first.has_value());
  });
}

TEST_CASE("bug 28: a chain that lives on holds no permit", "[conformance]") {
  stage s;
  hf::bulkhead bulkhead({.limit = 1});
  s.play([&]() -> asio::awaitable<void> {
    const auto chain = hf::resilient(second_long).with(bulkhead);
    for (int i = 0; i < 3; ++i) {
      const auto r = co_await chain.run();
      CHECK(r.has_value());
      CHECK(bulkhead.in_use() == 0);
    }
  });
}

TEST_CASE("bug 29: a limit of zero is refused, not taken for no limit", "[conformance]") {
  CHECK_THROWS_AS(hf::bulkhead({.limit = 0}), hf::invalid_options);
  CHECK_THROWS_AS(hf::circuit_breaker({.half_open_probes = 0}), hf::invalid_options);
  CHECK_THROWS_AS(hf::pipeline().with(hf::timeout{.after = 0s}), hf::invalid_options);
  CHECK_THROWS_AS(hf::pipeline().with(hf::timeout{.max_detached = 0}), hf::invalid_options);
  CHECK_THROWS_AS(hf::pipeline().with(hf::retry{.max_attempts = 0}), hf::invalid_options);
}
