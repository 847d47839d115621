// SPDX-License-Identifier: BSL-1.0
// The rate limiter in a pipeline, in virtual time.
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/errc.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>
#include <optional>
#include <tuple>
#include <vector>

#include "../support/in_virtual_time.hpp"

namespace asio = boost::asio;
namespace hf = holdfast;
using hf::limiter_algorithm;
using hf::testing::virtual_time;
using namespace std::chrono_literals;

namespace {

asio::awaitable<int> ready() { co_return 1; }

asio::awaitable<int> second_long(hf::call_context& ctx) {
  co_await hf::sleep_for(1s, ctx.token());
  co_return 1;
}

/// A service that asks for silence, told apart from others by its code.
struct throttling {
  hf::duration hint;
  hf::classification operator()(const hf::failure& f) const {
    if (f.code() == boost::system::errc::resource_unavailable_try_again) {
      return {hf::verdict::throttled, hint};
    }
    return hf::verdict::failure;
  }
};
asio::awaitable<int> too_many_requests() {
  throw boost::system::system_error(
      make_error_code(boost::system::errc::resource_unavailable_try_again));
  co_return 0;
}

/// Starts operations that note when their call ran, or -1 where it did not.
template <class Pipeline>
void start_many(const asio::any_io_executor& executor, const Pipeline& guard, virtual_time& time,
                std::vector<hf::duration>& times, int count) {
  const hf::time_point begun = time.now();
  const auto one = [&guard, &time, &times, begun]() -> asio::awaitable<void> {
    const auto call = [&time]() -> asio::awaitable<hf::time_point> { co_return time.now(); };
    const hf::result<hf::time_point> r = co_await guard(call);
    times.push_back(r ? r.assume_value() - begun : hf::duration(-1));
  };
  for (int i = 0; i < count; ++i) {
    asio::co_spawn(executor, [](auto run) -> asio::awaitable<void> { co_await run(); }(one),
                   asio::detached);
  }
}

}  // namespace

TEST_CASE("rate limiter: without max_wait the call is refused at once, and told until when") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    const auto algorithm = limiter_algorithm::gcra;
    const hf::rate_limiter limiter(
        {.name = "api", .permits = 2, .period = 1s, .algorithm = algorithm});
    const auto guard = hf::pipeline().with(limiter);
    const auto begun = time.now();
    for (int i = 0; i < 2; ++i) {
      const auto r = co_await guard(ready);
      CHECK(r.has_value());
    }
    const auto r = co_await guard(ready);
    REQUIRE(r.has_error());
    CHECK(r.error().code() == hf::errc::rate_limited);
    CHECK(r.error().code() == hf::condition::rejected);
    CHECK(r.error().policy() == hf::policy_kind::rate_limiter);
    CHECK(r.error().policy_name() == "api");
    CHECK(r.error().attempts() == 0);
    CHECK(r.error().retry_after() == 500ms);
    CHECK(time.now() == begun);
    CHECK(limiter.refused() == 1);
    co_await hf::sleep_for(500ms);
    const auto after = co_await guard(ready);
    CHECK(after.has_value());
  });
}

TEST_CASE("rate limiter: who waits is admitted as far apart as the rate says") {
  const auto algorithm = GENERATE(limiter_algorithm::gcra, limiter_algorithm::sliding_window);
  std::vector<hf::duration> times;
  in_virtual_time([&](virtual_time& time) -> asio::awaitable<void> {
    const hf::rate_limiter limiter({.permits = 2,
                                    .period = 1s,
                                    .burst = algorithm == limiter_algorithm::gcra ? 1u : 0u,
                                    .algorithm = algorithm,
                                    .max_wait = 2s,
                                    .max_waiting = 3});
    const auto guard = hf::pipeline().with(limiter);
    start_many(co_await asio::this_coro::executor, guard, time, times, 6);
    co_await hf::sleep_for(1ms);
    CHECK(limiter.snapshot(time.now()).waiting == 3);
    co_await hf::sleep_for(10s);
    CHECK(limiter.snapshot(time.now()).waiting == 0);
  });
  const hf::duration no{-1};
  if (algorithm == limiter_algorithm::gcra) {
    CHECK(times == std::vector<hf::duration>{0s, no, no, 500ms, 1s, 1500ms});
  } else {
    CHECK(times == std::vector<hf::duration>{0s, 0s, no, 1s, 1s, 2s});
  }
}

TEST_CASE("rate limiter: nobody waits for what comes too late") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    const hf::rate_limiter limiter(
        {.permits = 1, .period = 1s, .burst = 1, .max_wait = 10s});
    const auto guard = hf::pipeline().with(limiter);
    const auto first = co_await guard(ready);
    REQUIRE(first.has_value());
    const auto begun = time.now();

    // The deadline of the caller: known at once, nothing reserved.
    auto late = co_await guard(ready, {.deadline = begun + 999ms});
    REQUIRE(late.has_error());
    CHECK(late.error().code() == hf::errc::rate_limited);
    CHECK(late.error().retry_after() == 1s);
    // No attempt starts at its deadline.
    late = co_await guard(ready, {.deadline = begun + 1s});
    CHECK(late.error().code() == hf::errc::rate_limited);
    // A timeout around the limiter is a deadline as well.
    late = co_await hf::pipeline().with(limiter).with(hf::timeout{500ms})(ready);
    CHECK(late.error().code() == hf::errc::rate_limited);
    CHECK(time.now() == begun);
    CHECK(limiter.refused() == 3);
    CHECK(limiter.snapshot(time.now()).next_free == 1s);

    const auto in_time = co_await guard(ready, {.deadline = begun + 1s + 1ns});
    CHECK(in_time.has_value());
    CHECK(time.now() - begun == 1s);
  });
}

TEST_CASE("rate limiter: a cancelled wait ends at once and gives its place back") {
  const auto algorithm = GENERATE(limiter_algorithm::gcra, limiter_algorithm::sliding_window);
  in_virtual_time([algorithm](virtual_time& time) -> asio::awaitable<void> {
    const auto executor = co_await asio::this_coro::executor;
    const hf::rate_limiter limiter(
        {.permits = 1, .period = 1s, .algorithm = algorithm, .max_wait = 10s});
    const auto guard = hf::pipeline().with(limiter);
    const auto first = co_await guard(ready);
    REQUIRE(first.has_value());
    const auto begun = time.now();
    asio::cancellation_signal signal;
    std::optional<hf::result<int>> outcome;
    const auto waits = [&]() -> asio::awaitable<void> { outcome.emplace(co_await guard(ready)); };
    asio::co_spawn(executor, waits, asio::bind_cancellation_slot(signal.slot(), asio::detached));
    co_await hf::sleep_for(200ms);
    CHECK(limiter.snapshot(time.now()).waiting == 1);
    signal.emit(asio::cancellation_type::total);
    signal.emit(asio::cancellation_type::terminal);
    co_await hf::sleep_for(0s);
    REQUIRE(outcome);
    CHECK(outcome->error().code() == hf::errc::cancelled);
    CHECK(limiter.snapshot(time.now()).waiting == 0);
    const auto next = co_await guard(ready);
    CHECK(next.has_value());
    CHECK(time.now() - begun == 1s);  // the place of the one that was cancelled
  });
}

namespace {

/// Operations that wait for a limiter, each of which can be cancelled.
struct waiting_operations {
  template <class Pipeline>
  waiting_operations(const asio::any_io_executor& executor, const Pipeline& guard, int count)
      : signals(static_cast<std::size_t>(count)) {
    for (asio::cancellation_signal& signal : signals) {
      const auto one = [this, &guard]() -> asio::awaitable<void> {
        const auto r = co_await guard(ready);
        cancelled += r.has_error() && r.error().code() == hf::errc::cancelled;
      };
      asio::co_spawn(executor, [](auto run) -> asio::awaitable<void> { co_await run(); }(one),
                     asio::bind_cancellation_slot(signal.slot(), asio::detached));
    }
  }
  void cancel(std::size_t which) { signals[which].emit(asio::cancellation_type::terminal); }

  std::vector<asio::cancellation_signal> signals;
  int cancelled = 0;
};

}  // namespace

TEST_CASE("rate limiter: what nobody waits for any more is free, in whatever order they left") {
  const auto algorithm = GENERATE(limiter_algorithm::gcra, limiter_algorithm::sliding_window);
  const auto stride = GENERATE(std::size_t{1}, std::size_t{19}, std::size_t{7});  // 19: backwards
  in_virtual_time([=](virtual_time& time) -> asio::awaitable<void> {
    const hf::rate_limiter limiter(
        {.permits = 1, .period = 1s, .algorithm = algorithm, .max_wait = 20s});
    const auto guard = hf::pipeline().with(limiter);
    const auto first = co_await guard(ready);
    REQUIRE(first.has_value());
    waiting_operations waiting(co_await asio::this_coro::executor, guard, 20);
    co_await hf::sleep_for(0s);
    REQUIRE(limiter.snapshot(time.now()).waiting == 20);
    for (std::size_t i = 0; i < 20; ++i) waiting.cancel(i * stride % 20);
    co_await hf::sleep_for(0s);
    REQUIRE(waiting.cancelled == 20);
    CHECK(limiter.snapshot(time.now()).next_free == 1s);
    co_await hf::sleep_for(10s);
    const auto begun = time.now();
    const auto late = co_await guard(ready);
    CHECK(late.has_value());
    CHECK(time.now() == begun);
  });
}

TEST_CASE("rate limiter: a time that was given up goes to the next who comes") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    const hf::rate_limiter limiter({.permits = 1, .period = 1s, .max_wait = 20s});
    const auto guard = hf::pipeline().with(limiter);
    const auto first = co_await guard(ready);
    REQUIRE(first.has_value());
    const auto begun = time.now();
    waiting_operations waiting(co_await asio::this_coro::executor, guard, 3);
    co_await hf::sleep_for(0s);
    waiting.cancel(1);
    co_await hf::sleep_for(0s);
    const auto next = co_await guard(ready);
    CHECK(next.has_value());
    CHECK(time.now() - begun == 2s);
    const auto last = co_await guard(ready);
    CHECK(last.has_value());
    CHECK(time.now() - begun == 4s);
  });
}

TEST_CASE("rate limiter: an executor that goes takes its waits along") {
  const hf::rate_limiter limiter({.permits = 1, .period = 1h, .burst = 1, .max_wait = 5h});
  {
    asio::io_context ctx{1};
    virtual_time time{ctx};
    const auto guard = hf::pipeline().with(limiter);
    for (int i = 0; i < 4; ++i) {
      const auto one = [&guard]() -> asio::awaitable<void> { std::ignore = co_await guard(ready); };
      asio::co_spawn(ctx, one, asio::detached);
      time.poll();
    }
    CHECK(limiter.snapshot(time.now()).waiting == 3);
  }
  CHECK(limiter.snapshot(hf::time_point(1h)).waiting == 0);
}

TEST_CASE("rate limiter: a call that costs several permits, settled when it is known") {
  const auto algorithm = GENERATE(limiter_algorithm::gcra, limiter_algorithm::sliding_window);
  in_virtual_time([algorithm](virtual_time& time) -> asio::awaitable<void> {
    const hf::rate_limiter tokens(
        {.permits = 1000, .period = 1h, .algorithm = algorithm, .max_hint = 24h});
    const auto left = [&] { return tokens.snapshot(time.now()).available; };
    const auto guard = hf::pipeline().with(tokens);
    const auto costs = [](std::uint64_t units) {
      return [units](hf::call_context& ctx) -> asio::awaitable<int> {
        ctx.settle(units);
        co_return 1;
      };
    };
    auto r = co_await guard(ready, {.cost = 400});
    CHECK(left() == 600);
    r = co_await guard(costs(100), {.cost = 400});
    CHECK(left() == 500);
    r = co_await guard(costs(250), {.cost = 200});
    CHECK(left() == 250);
    r = co_await guard(costs(0), {.cost = 250});
    CHECK(left() == 250);
    // In parts.
    const auto streams = [](hf::call_context& ctx) -> asio::awaitable<int> {
      for (int i = 0; i < 5; ++i) ctx.settle(10);
      co_return 1;
    };
    r = co_await guard(streams, {.cost = 250});
    CHECK(left() == 200);
    // A failed call has its cost too.
    const auto fails = [](hf::call_context& ctx) -> asio::awaitable<int> {
      ctx.settle(20);
      throw std::runtime_error("cut off");
      co_return 1;
    };
    r = co_await guard(fails, {.cost = 100});
    CHECK(left() == 180);
    // Nothing reserved, everything settled.
    r = co_await guard(costs(80), {.cost = 0});
    CHECK(r.has_value());
    CHECK(left() == 100);
    // More than there is: refused, and nothing taken.
    r = co_await guard(ready, {.cost = 101});
    CHECK(r.error().code() == hf::errc::rate_limited);
    CHECK(left() == 100);
    // More than there can ever be.
    r = co_await guard(ready, {.cost = 1001});
    CHECK(r.error().code() == hf::errc::rate_limited);
    CHECK_FALSE(r.error().retry_after().has_value());
    // A debt.
    r = co_await guard(costs(500), {.cost = 100});
    CHECK(left() == 0);
    r = co_await guard(ready);
    CHECK(r.error().code() == hf::errc::rate_limited);
  });
}

TEST_CASE("rate limiter: a call on a chain of its own settles as well, unless it is left behind") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    const hf::rate_limiter tokens({.permits = 1000, .period = 100h});
    const auto left = [&] { return tokens.snapshot(time.now()).available; };
    const auto detaching =
        hf::timeout{.after = 2s, .mode = hf::timeout_mode::detach, .grace = 0s};
    const auto guard = hf::pipeline().with(detaching).with(tokens);
    const auto settles_after = [](hf::duration d) {
      return [d](hf::call_context& ctx) -> asio::awaitable<int> {
        co_await hf::sleep_for(
            d, asio::bind_cancellation_slot(asio::cancellation_slot(), asio::deferred));
        ctx.settle(10);
        co_return 1;
      };
    };
    auto r = co_await guard(settles_after(1s), {.cost = 100});
    CHECK(r.has_value());
    CHECK(left() == 990);
    r = co_await guard(settles_after(1s), {.cost = 100});  // the chain is used again
    CHECK(left() == 980);
    r = co_await guard(settles_after(3s), {.cost = 100});
    CHECK(r.error().code() == hf::errc::attempt_timeout);
    CHECK(left() == 880);
    co_await hf::sleep_for(2s);
    CHECK(left() == 880);  // its word came too late
    r = co_await guard([]() -> asio::awaitable<int> { co_return 1; }, {.cost = 100});
    CHECK(left() == 780);
  });
}

TEST_CASE("rate limiter: attempts under one reservation add up, each of its own settles apart") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    const hf::retry thrice{.max_attempts = 3, .wait = {.base = 0s, .jitter = hf::jitter::none}};
    const auto third_time = [](hf::call_context& ctx) -> asio::awaitable<int> {
      ctx.settle(10);
      if (ctx.attempt() < 3) throw std::runtime_error("again");
      co_return 1;
    };
    const hf::rate_limiter around({.permits = 1000, .period = 1h});
    auto r = co_await hf::pipeline().with(thrice).with(around)(third_time, {.cost = 100});
    CHECK(r.has_value());
    CHECK(around.snapshot(time.now()).available == 970);
    const hf::rate_limiter within({.permits = 1000, .period = 1h});
    r = co_await hf::pipeline().with(within).with(thrice)(third_time, {.cost = 100});
    CHECK(r.has_value());
    CHECK(within.snapshot(time.now()).available == 970);
  });
}

TEST_CASE("rate limiter: one that counts calls beside one that counts cost") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    const hf::rate_limiter requests({.permits = 10, .period = 60s, .weighted = false});
    const hf::rate_limiter tokens({.permits = 1000, .period = 60s});
    const auto guard = hf::pipeline().with(tokens).with(requests);
    const auto call = [](hf::call_context& ctx) -> asio::awaitable<int> {
      ctx.settle(30);
      co_return 1;
    };
    const auto r = co_await guard(call, {.cost = 300});
    CHECK(r.has_value());
    CHECK(requests.snapshot(time.now()).available == 9);
    CHECK(tokens.snapshot(time.now()).available == 970);
    // What the inner one refuses costs the outer one nothing.
    const auto refused = co_await guard(call, {.cost = 2000});
    CHECK(refused.error().code() == hf::errc::rate_limited);
    CHECK(requests.snapshot(time.now()).available == 9);
  });
}

TEST_CASE("rate limiter: a call that was never started costs nothing, one that was does") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    const auto executor = co_await asio::this_coro::executor;
    const hf::rate_limiter limiter({.permits = 100, .period = 1h});
    const auto left = [&] { return limiter.snapshot(time.now()).available; };
    hf::circuit_breaker breaker;
    breaker.isolate(time.now());
    const auto guard = hf::pipeline().with(breaker).with(limiter);
    auto r = co_await guard(ready, {.cost = 30});
    CHECK(r.error().code() == hf::errc::circuit_isolated);
    CHECK(left() == 100);
    // No time left for the call.
    r = co_await hf::pipeline().with(limiter)(ready, {.deadline = time.now()});
    CHECK(r.error().code() == hf::errc::deadline_too_near);
    CHECK(left() == 100);
    // Cancelled in flight: it may have reached the service.
    asio::cancellation_signal signal;
    const auto in_flight = [&]() -> asio::awaitable<void> {
      r = co_await hf::pipeline().with(limiter)(second_long, {.cost = 30});
    };
    asio::co_spawn(executor, in_flight,
                   asio::bind_cancellation_slot(signal.slot(), asio::detached));
    co_await hf::sleep_for(1ms);
    signal.emit(asio::cancellation_type::terminal);
    co_await hf::sleep_for(0s);
    CHECK(r.error().code() == hf::errc::cancelled);
    CHECK(left() == 70);
  });
}

TEST_CASE("rate limiter: nobody is admitted before the time that the service asked for") {
  const auto algorithm = GENERATE(limiter_algorithm::gcra, limiter_algorithm::sliding_window);
  in_virtual_time([algorithm](virtual_time& time) -> asio::awaitable<void> {
    const hf::rate_limiter limiter({.permits = 10, .period = 1s, .algorithm = algorithm});
    const auto guard = hf::pipeline().with(limiter).classify(throttling{3s});
    const auto begun = time.now();
    auto r = co_await guard(too_many_requests);
    CHECK(r.error().code() == boost::system::errc::resource_unavailable_try_again);
    r = co_await guard(ready);
    REQUIRE(r.error().code() == hf::errc::rate_limited);
    CHECK(r.error().retry_after() == 3s);
    // A smaller hint does not shorten it.
    limiter.core()->hold_for(1s, time.now());
    co_await hf::sleep_for(3s - 1ns);
    r = co_await guard(ready);
    CHECK(r.error().code() == hf::errc::rate_limited);
    co_await hf::sleep_for(1ns);
    r = co_await guard(ready);
    CHECK(r.has_value());
    CHECK(time.now() - begun == 3s);
  });
}

TEST_CASE("rate limiter: a hint is bounded by max_hint") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    const hf::rate_limiter limiter({.max_hint = 10s});
    const auto guard = hf::pipeline().with(limiter).classify(throttling{24h});
    std::ignore = co_await guard(too_many_requests);
    CHECK(limiter.snapshot(time.now()).held_for == 10s);
  });
}

TEST_CASE("rate limiter: a hint moves those who wait already, as far apart as before") {
  std::vector<hf::duration> times;
  in_virtual_time([&](virtual_time& time) -> asio::awaitable<void> {
    const hf::rate_limiter limiter(
        {.permits = 10, .period = 1s, .burst = 1, .max_wait = 5s});
    const auto guard = hf::pipeline().with(limiter);
    start_many(co_await asio::this_coro::executor, guard, time, times, 4);
    co_await hf::sleep_for(150ms);
    limiter.core()->hold_for(2s, time.now());
    co_await hf::sleep_for(10s);
  });
  CHECK(times == std::vector<hf::duration>{0s, 100ms, 2150ms, 2250ms});
}

TEST_CASE("rate limiter: those whom a hint moves past their deadline are refused at once") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    const auto executor = co_await asio::this_coro::executor;
    const hf::rate_limiter limiter({.permits = 10, .period = 1s, .burst = 1, .max_wait = 5s});
    const auto guard = hf::pipeline().with(limiter).with(hf::timeout{1s});
    auto r = co_await guard(ready);
    REQUIRE(r.has_value());
    const auto begun = time.now();
    const auto hint = [&]() -> asio::awaitable<void> {
      co_await hf::sleep_for(50ms);
      limiter.core()->hold_for(2s, time.now());
    };
    asio::co_spawn(executor, hint, asio::detached);
    r = co_await guard(ready);
    CHECK(r.error().code() == hf::errc::rate_limited);
    CHECK(r.error().retry_after() == 1950ms);
    CHECK(time.now() - begun == 100ms);
    CHECK(limiter.snapshot(time.now()).waiting == 0);
  });
}

TEST_CASE("rate limiter: a retry around it is admitted when the hint has passed") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    const hf::rate_limiter limiter({.permits = 10, .period = 1s});
    const auto guard = hf::pipeline()
                           .with(limiter)
                           .with(hf::retry{.wait = {.base = 0s, .jitter = hf::jitter::none}})
                           .classify(throttling{2s});
    int made = 0;
    const auto second_time = [&made]() -> asio::awaitable<int> {
      if (++made == 1) co_return co_await too_many_requests();
      co_return 1;
    };
    const auto begun = time.now();
    const auto r = co_await guard(second_time);
    CHECK(r.has_value());
    CHECK(time.now() - begun == 2s);
  });
}

TEST_CASE("rate limiter: a fallback takes over, and its call has the same cost") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    const hf::rate_limiter first({.permits = 100, .period = 1h});
    const hf::rate_limiter second({.permits = 1000, .period = 1h});
    const auto guard = hf::pipeline().with(first).fallback(hf::resilient(ready).with(second));
    hf::ledger ledger;
    const auto r = co_await guard(ready, {.ledger = &ledger, .cost = 300});
    CHECK(r.has_value());
    CHECK(second.snapshot(time.now()).available == 700);
    CHECK(first.snapshot(time.now()).available == 100);
    REQUIRE_FALSE(ledger.entries().empty());
    CHECK(ledger.entries()[0].refused_by == hf::policy_kind::rate_limiter);
  });
}

TEST_CASE("rate limiter: reconfigured while operations wait") {
  std::vector<hf::duration> times;
  in_virtual_time([&](virtual_time& time) -> asio::awaitable<void> {
    hf::rate_limiter limiter({.permits = 10, .period = 1s, .burst = 1, .max_wait = 1s});
    const auto guard = hf::pipeline().with(limiter);
    start_many(co_await asio::this_coro::executor, guard, time, times, 3);
    co_await hf::sleep_for(50ms);
    limiter.reconfigure({.permits = 1, .period = 1s, .burst = 1, .max_wait = 0s}, time.now());
    CHECK(limiter.snapshot(time.now()).waiting == 2);
    const auto refused = co_await guard(ready);
    CHECK(refused.error().code() == hf::errc::rate_limited);
    co_await hf::sleep_for(10s);
    CHECK(limiter.snapshot(time.now()).waiting == 0);
    CHECK(limiter.snapshot(time.now()).available == 1);
  });
  CHECK(times == std::vector<hf::duration>{0s, 100ms, 200ms});  // who waited kept the time
}

TEST_CASE("rate limiter: describes itself with every option") {
  const auto text = [](hf::rate_limiter_options o) {
    return hf::pipeline().with(hf::rate_limiter(std::move(o))).describe();
  };
  CHECK(text({}) ==
        "rate_limiter '': 100 permits per 1s, burst 100, no waiting, hints up to 60s\n");
  CHECK(text({.name = "tpm", .permits = 90'000, .period = 60s, .burst = 10'000, .max_wait = 5s}) ==
        "rate_limiter 'tpm': 90000 permits per 60s, burst 10000, 1000 may wait for 5s, hints up to "
        "60s\n");
  CHECK(text({.permits = 5,
              .algorithm = limiter_algorithm::sliding_window,
              .max_wait = 1s,
              .max_waiting = 7,
              .weighted = false,
              .max_hint = 0s}) ==
        "rate_limiter '': 5 calls per 1s in a sliding window, 7 may wait for 1s, hints ignored\n");
}

TEST_CASE("rate limiter: the whole burst is had at once under the real, coarse clock") {
  const auto burst = GENERATE(1u, 5u, 40u);  // the last guesses where its schedule begins
  asio::io_context ctx{1};
  const hf::rate_limiter limiter({.permits = burst, .period = 1h, .burst = burst});
  unsigned admitted = 0;
  const auto all = [&]() -> asio::awaitable<void> {
    const auto guard = hf::pipeline().with(limiter);
    for (int i = 0; i < 60; ++i) {
      const auto r = co_await guard(ready);
      admitted += r.has_value() ? 1 : 0;
    }
  };
  asio::co_spawn(ctx, all, asio::detached);
  ctx.run();
  CHECK(admitted == burst);
}

TEST_CASE("rate limiter: a schedule begins when the call is made, not at the clock's last tick") {
  // The real clock, without a wait: virtual time has no ticks.
  asio::io_context context{1};
  const auto options = hf::rate_limiter_options{.permits = 1, .period = 1h};
  for (int i = 0; i < 10; ++i) {  // a tick may come between, and hide an error
    const hf::rate_limiter limiter(options);
    const auto call = [&]() -> asio::awaitable<void> {
      const auto guard = hf::pipeline().with(limiter);
      const hf::time_point before = hf::clock::now();
      const hf::result<int> r = co_await guard(ready);
      CHECK(r.has_value());
      CHECK(limiter.snapshot(before).next_free >= 1h);
      CHECK(limiter.snapshot(hf::clock::now()).next_free <= 1h);
    };
    asio::co_spawn(context, call, asio::detached);
    context.run();
    context.restart();
  }
}
