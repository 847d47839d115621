// SPDX-License-Identifier: BSL-1.0
// What a deadline from outside says of the service: nothing, if it cut an attempt shorter than the
// timeouts around it allow.
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/policy/adaptive_limit.hpp>
#include <holdfast/policy/breaker_family.hpp>
#include <holdfast/policy/throttle.hpp>

#include "../support/stage.hpp"

using namespace std::chrono_literals;
using test::stage;
namespace asio = boost::asio;
namespace hf = holdfast;

namespace {

hf::retry at_once() {
  return {.max_attempts = 5, .wait = {.base = 0s, .jitter = hf::jitter::none}};
}

auto takes(hf::duration d) {
  return [d](hf::call_context& ctx) -> asio::awaitable<int> {
    co_await hf::sleep_for(d, ctx.token());
    co_return 1;
  };
}
/// The same on a chain of its own.
auto takes_opaquely(hf::duration d) {
  return [d]() -> asio::awaitable<int> {
    co_await hf::sleep_for(d);
    co_return 1;
  };
}

template <class Pipeline, class Call>
void five_times(stage& s, const Pipeline& guard, Call call, hf::duration allowed) {
  s.play([&]() -> asio::awaitable<void> {
    for (int i = 0; i < 5; ++i) {
      const auto r = co_await guard(call, {.deadline = s.time.now() + allowed});
      CHECK(r.has_error());
    }
  });
}

template <class Policy>
void counts(const hf::circuit_breaker& breaker, stage& s, unsigned expected, const Policy& guard,
            hf::duration allowed) {
  five_times(s, guard, takes(500ms), allowed);
  CHECK(breaker.snapshot(s.time.now()).consecutive_failures == expected);
}

}  // namespace

TEST_CASE("a caller's deadline that cuts a call short opens no circuit", "[outer_deadline]") {
  const bool opaque = GENERATE(false, true);
  CAPTURE(opaque);
  stage s;
  const hf::circuit_breaker breaker;
  const auto guard = hf::pipeline().with(hf::timeout{10s}).with(breaker);
  if (opaque) {
    five_times(s, guard, takes_opaquely(500ms), 1ms);
  } else {
    five_times(s, guard, takes(500ms), 1ms);
  }
  CHECK(breaker.state() == hf::breaker_state::closed);
  CHECK(breaker.snapshot(s.time.now()).consecutive_failures == 0);
}

TEST_CASE("without a timeout inside the breaker the deadline is the only measure",
          "[outer_deadline]") {
  stage s;
  const hf::circuit_breaker breaker;
  const auto guard = hf::pipeline().with(breaker).with(hf::timeout{10s});
  five_times(s, guard, takes(500ms), 100ms);
  CHECK(breaker.state() == hf::breaker_state::open);
}

TEST_CASE("a timeout that expires itself counts, whatever bounds it", "[outer_deadline]") {
  stage s;
  const hf::circuit_breaker breaker({.consecutive_failures = 100});
  SECTION("inside a longer deadline") {
    counts(breaker, s, 5, hf::pipeline().with(hf::timeout{100ms}).with(breaker), 1s);
  }
  SECTION("inside another timeout") {
    counts(breaker, s, 5,
           hf::pipeline().with(hf::timeout{100ms}).with(hf::timeout{1s}).with(breaker), 10s);
  }
  SECTION("the outer of two, which cuts the inner one short") {
    counts(breaker, s, 5,
           hf::pipeline().with(hf::timeout{200ms}).with(at_once()).with(hf::timeout{300ms}).with(
               breaker),
           10s);
  }
  SECTION("a deadline that leaves it practically all its time") {
    counts(breaker, s, 5, hf::pipeline().with(hf::timeout{200ms}).with(breaker), 199ms);
  }
  SECTION("a timeout as long around it") {
    counts(breaker, s, 5,
           hf::pipeline().with(hf::timeout{200ms}).with(breaker).with(hf::timeout{200ms}), 10s);
  }
  SECTION("neither of two") {
    counts(breaker, s, 0,
           hf::pipeline().with(hf::timeout{200ms}).with(hf::timeout{300ms}).with(breaker), 100ms);
  }
  SECTION("a call that fails by itself after the deadline") {
    auto deaf = [&]() -> asio::awaitable<hf::result<int>> {
      co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
      co_await hf::sleep_for(500ms);
      co_return hf::failure(asio::error::connection_reset);
    };
    five_times(s, hf::pipeline().with(hf::timeout{1s}).with(breaker), deaf, 100ms);
    CHECK(breaker.snapshot(s.time.now()).consecutive_failures == 5);
  }
}

TEST_CASE("a total timeout around the breaker is a deadline from outside for it",
          "[outer_deadline]") {
  stage s;
  const hf::circuit_breaker inner({.consecutive_failures = 100});
  const hf::circuit_breaker outer({.consecutive_failures = 100});
  // The first attempt takes its 200 ms, the second is cut after 100.
  const auto guard = hf::pipeline()
                         .with(hf::timeout{200ms})
                         .with(inner)
                         .with(at_once())
                         .with(hf::timeout{300ms})
                         .with(outer);
  five_times(s, guard, takes(500ms), 10s);
  CHECK(inner.snapshot(s.time.now()).consecutive_failures == 5);
  CHECK(outer.snapshot(s.time.now()).consecutive_failures == 5);
}

TEST_CASE("the same holds for breakers around and below a hedge, and in a link",
          "[outer_deadline]") {
  stage s;
  const hf::circuit_breaker breaker;
  const hf::hedge hedge({.delay = 1h});
  SECTION("around, the timeout below") {
    five_times(s, hf::pipeline().with(hf::timeout{10s}).with(hedge).with(breaker), takes(500ms),
               1ms);
    CHECK(breaker.state() == hf::breaker_state::closed);
  }
  SECTION("around, the timeout around") {
    five_times(s, hf::pipeline().with(hedge).with(hf::timeout{10s}).with(breaker), takes(500ms),
               1ms);
    CHECK(breaker.state() == hf::breaker_state::closed);
  }
  SECTION("around, no timeout") {
    five_times(s, hf::pipeline().with(hedge).with(breaker), takes(500ms), 1ms);
    CHECK(breaker.state() == hf::breaker_state::open);
  }
  SECTION("around, a timeout below that expires itself") {
    five_times(s, hf::pipeline().with(hf::timeout{10ms}).with(hedge).with(breaker), takes(500ms),
               1s);
    CHECK(breaker.state() == hf::breaker_state::open);
  }
  SECTION("around, an attempt that fails beside one that is cut short") {
    int calls = 0;
    auto call = [&](hf::call_context& ctx) -> asio::awaitable<hf::result<int>> {
      const bool hangs = ++calls % 2 == 0;
      co_await hf::sleep_for(hangs ? 1h : 10ms, ctx.token());
      co_return hf::failure(asio::error::connection_reset);
    };
    five_times(s, hf::pipeline().with(hf::timeout{10s}).with(hedge).with(breaker), call, 100ms);
    CHECK(breaker.state() == hf::breaker_state::open);
  }
  SECTION("around, the first attempt's timeout as long as the one around, the second's not") {
    five_times(s,
               hf::pipeline()
                   .with(hf::timeout{200ms})
                   .with(hf::hedge({.delay = 50ms}))
                   .with(breaker)
                   .with(hf::timeout{200ms}),
               takes(500ms), 10s);
    CHECK(breaker.state() == hf::breaker_state::open);
  }
  SECTION("below") {
    five_times(s, hf::pipeline().with(hf::timeout{10s}).with(breaker).with(hedge), takes(500ms),
               1ms);
    CHECK(breaker.state() == hf::breaker_state::closed);
  }
  SECTION("below, no timeout") {
    five_times(s, hf::pipeline().with(breaker).with(hedge), takes(500ms), 1ms);
    CHECK(breaker.state() == hf::breaker_state::open);
  }
  SECTION("in a link") {
    auto down = []() -> asio::awaitable<hf::result<int>> {
      co_return hf::failure(asio::error::connection_reset);
    };
    five_times(s,
               hf::pipeline().fallback(
                   hf::resilient(takes(500ms)).with(hf::timeout{10s}).with(breaker)),
               down, 1ms);
    CHECK(breaker.state() == hf::breaker_state::closed);
  }
}

TEST_CASE("a probe that its own deadline ends has failed, one that the caller's ends has not",
          "[outer_deadline]") {
  const bool callers = GENERATE(false, true);
  stage s;
  const hf::circuit_breaker breaker(
      {.consecutive_failures = 1, .open_for = 1s, .probe_timeout = 50ms});
  const auto guard = hf::pipeline().with(hf::timeout{10s}).with(breaker);
  s.play([&]() -> asio::awaitable<void> {
    auto down = []() -> asio::awaitable<hf::result<int>> {
      co_return hf::failure(asio::error::connection_reset);
    };
    co_await test::expect_error(guard(down));
    CHECK(breaker.state() == hf::breaker_state::open);
    co_await hf::sleep_for(2s);
    co_await test::expect_error(
        guard(takes(500ms), {.deadline = callers ? s.time.now() + 10ms : hf::never}));
  });
  CHECK(breaker.state() == (callers ? hf::breaker_state::half_open : hf::breaker_state::open));
  if (callers) CHECK(breaker.snapshot(s.time.now()).probes_in_flight == 0);
}

TEST_CASE("a probe whose own deadline is further away than the caller's is cut short as well",
          "[outer_deadline]") {
  stage s;
  const hf::circuit_breaker breaker(
      {.consecutive_failures = 1, .open_for = 1s, .probe_timeout = 100ms});
  const auto guard = hf::pipeline().with(breaker);
  s.play([&]() -> asio::awaitable<void> {
    auto down = []() -> asio::awaitable<hf::result<int>> {
      co_return hf::failure(asio::error::connection_reset);
    };
    co_await test::expect_error(guard(down));
    co_await hf::sleep_for(2s);
    co_await test::expect_error(guard(takes(500ms), {.deadline = s.time.now() + 10ms}));
  });
  CHECK(breaker.state() == hf::breaker_state::half_open);
  s.play([&]() -> asio::awaitable<void> {
    co_await test::expect_error(guard(takes(500ms), {.deadline = s.time.now() + 100ms}));
  });
  CHECK(breaker.state() == hf::breaker_state::open);
}

TEST_CASE("a call left behind by a detaching timeout has had its time", "[outer_deadline]") {
  stage s;
  const hf::circuit_breaker breaker;
  const auto guard =
      hf::pipeline().with(hf::timeout{.after = 200ms, .mode = hf::timeout_mode::detach}).with(breaker);
  auto deaf = []() -> asio::awaitable<int> {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await hf::sleep_for(500ms);
    co_return 1;
  };
  five_times(s, guard, deaf, 100ms);
  CHECK(breaker.state() == hf::breaker_state::open);
}

TEST_CASE("families, throttles and adaptive limits learn nothing of it either",
          "[outer_deadline]") {
  stage s;
  SECTION("a family") {
    const hf::breaker_family family({.breaker = {.consecutive_failures = 3}});
    const auto guard = hf::pipeline().with(hf::timeout{10s}).with(family);
    s.play([&]() -> asio::awaitable<void> {
      for (int i = 0; i < 5; ++i) {
        const auto r = co_await guard(takes(500ms),
                                      {.deadline = s.time.now() + 1ms, .tenant = "one"});
        CHECK(r.error().code() == hf::errc::total_timeout);
      }
    });
    CHECK(family.state("one") == hf::breaker_state::closed);
  }
  SECTION("a throttle") {
    const hf::throttle throttle;
    const auto guard = hf::pipeline().with(hf::timeout{10s}).with(throttle);
    s.play([&]() -> asio::awaitable<void> {
      for (int i = 0; i < 200; ++i) {
        static_cast<void>(co_await guard(takes(500ms), {.deadline = s.time.now() + 1ms}));
      }
    });
    CHECK(throttle.rejected() == 0);
  }
  SECTION("an adaptive limit") {
    const hf::adaptive_limit limit({.initial_limit = 20});
    const auto guard = hf::pipeline().with(hf::timeout{10s}).with(limit);
    s.play([&]() -> asio::awaitable<void> {
      for (int i = 0; i < 2000; ++i) {
        static_cast<void>(co_await guard(takes(500ms), {.deadline = s.time.now() + 10ms}));
      }
    });
    CHECK(limit.limit() == 20);
  }
}
