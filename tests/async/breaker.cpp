// SPDX-License-Identifier: BSL-1.0
// A circuit breaker in a pipeline: the timeout of its probes, the service's hints, slow calls.
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/error.hpp>
#include <catch2/catch_all.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "../support/stage.hpp"

using namespace std::chrono_literals;
using namespace test;
using hf::breaker_state;
using hf::errc;

namespace {

/// Takes its time, and fails if told so.
struct service {
  hf::duration takes = 0s;
  bool fails = false;
  int asked = 0;

  auto call() {
    return [this](hf::call_context& ctx) -> asio::awaitable<int> {
      ++asked;
      const bool bad = fails;
      co_await hf::sleep_for(takes, ctx.token());
      if (bad) throw boost::system::system_error(asio::error::connection_reset);
      co_return 1;
    };
  }
  /// One that hears nothing of a context.
  auto opaque() {
    return [this]() -> asio::awaitable<int> {
      ++asked;
      co_await hf::sleep_for(takes);
      co_return 1;
    };
  }
};

/// A breaker that one failure opens for ten seconds, and that is past them.
struct tried : stage {
  explicit tried(hf::circuit_breaker_options o = {}) : breaker(adjusted(std::move(o))) {}
  static hf::circuit_breaker_options adjusted(hf::circuit_breaker_options o) {
    o.consecutive_failures = 1;
    o.open_for = 10s;
    return o;
  }
  template <class Pipe>
  asio::awaitable<void> open(const Pipe& pipe) {
    down.fails = true;
    std::ignore = co_await pipe(down.call());
    REQUIRE(breaker.state() == breaker_state::open);
    co_await hf::sleep_for(10s);
    began = time.now();
  }
  hf::circuit_breaker breaker;
  service down;
};

}  // namespace

TEST_CASE("breaker: a probe has a tighter timeout, other calls have not", "[breaker]") {
  const bool opaque = GENERATE(true, false);
  tried s({.probe_timeout = 2s});
  service slow{.takes = 5s};
  s.play([&]() -> asio::awaitable<void> {
    const auto pipe = hf::pipeline().with(s.breaker);
    const auto early = co_await pipe(slow.call());
    CHECK(early.has_value());
    co_await s.open(pipe);
    const auto probe = opaque ? co_await pipe(slow.opaque()) : co_await pipe(slow.call());
    CHECK(probe.error().code() == errc::attempt_timeout);
    CHECK(s.elapsed() == 2s);
    CHECK(s.breaker.state() == breaker_state::open);
    co_await hf::sleep_for(10s);
    slow.takes = 1999ms;
    const auto good = co_await pipe(slow.call());
    CHECK(good.has_value());
    CHECK(s.breaker.state() == breaker_state::closed);
    slow.takes = 5s;
    const auto normal = co_await pipe(slow.call());
    CHECK(normal.has_value());
  });
}

TEST_CASE("breaker: a probe that hangs is ended with its lease, and has failed", "[breaker]") {
  tried s({.probe_lease = 60s});
  service hangs{.takes = 10min};
  s.play([&]() -> asio::awaitable<void> {
    const auto pipe = hf::pipeline().with(s.breaker).with(hf::timeout{1h});
    co_await s.open(pipe);
    int refused = 0;
    for (int i = 1; i < 60; ++i) {
      asio::co_spawn(
          s.context,
          [&, i]() -> asio::awaitable<void> {
            co_await hf::sleep_for(i * 1s);
            const auto r = co_await pipe(hangs.call());
            refused += r.has_error() && r.error().code() == errc::circuit_open;
          },
          asio::detached);
    }
    const auto probe = co_await pipe(hangs.call());
    CHECK(probe.error().code() == errc::attempt_timeout);
    CHECK(s.elapsed() == 60s);
    CHECK(refused == 59);
    CHECK(hangs.asked == 1);
    CHECK(s.breaker.state() == breaker_state::open);
  });
}

TEST_CASE("breaker: a probe that is deaf to its end gives way to one after the open time",
          "[breaker]") {
  tried s({.probe_lease = 60s});
  int in_flight = 0;
  int most = 0;
  const auto deaf = [&]() -> asio::awaitable<int> {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    most = std::max(most, ++in_flight);
    co_await hf::sleep_for(65s);
    --in_flight;
    co_return 1;
  };
  s.play([&]() -> asio::awaitable<void> {
    const auto pipe = hf::pipeline().with(s.breaker);
    co_await s.open(pipe);
    bool late_ended = false;
    asio::co_spawn(
        s.context,
        [&]() -> asio::awaitable<void> {
          std::ignore = co_await pipe(deaf);
          late_ended = true;
        },
        asio::detached);
    co_await hf::sleep_for(61s);
    const auto refused = co_await pipe(deaf);
    REQUIRE(refused.has_error());
    CHECK(refused.error().code() == errc::circuit_open);
    CHECK(s.breaker.state() == breaker_state::open);
    co_await hf::sleep_for(9s);
    CHECK(late_ended);
    CHECK(s.breaker.state() == breaker_state::open);  // its value came too late
    co_await hf::sleep_for(1s);
    service well;
    const auto next = co_await pipe(well.call());
    CHECK(next.has_value());
    CHECK(s.breaker.state() == breaker_state::closed);
    CHECK(most == 1);
  });
}

TEST_CASE("breaker: the timeout of a probe is its own, and ends with it", "[breaker]") {
  tried s({.probe_timeout = 2s});
  s.play([&]() -> asio::awaitable<void> {
    const auto simple = hf::pipeline().with(s.breaker);
    // The link after the failed probe, and the waits of a retry, have the time they had before.
    service slow{.takes = 5s};
    service second{.takes = 8s};
    const auto pipe =
        hf::pipeline().with(s.breaker).fallback(second.call()).with(hf::timeout{11s});
    co_await s.open(simple);
    auto r = co_await pipe(slow.call());
    CHECK(r.has_value());
    CHECK(s.elapsed() == 10s);
    CHECK(second.asked == 1);
    // And no more than that: with nine seconds in all the link is cut off.
    const auto short_pipe =
        hf::pipeline().with(s.breaker).fallback(second.call()).with(hf::timeout{9s});
    co_await hf::sleep_for(10s);
    s.began = s.time.now();
    r = co_await short_pipe(slow.call());
    CHECK(r.error().code() == errc::attempt_timeout);
    CHECK(s.elapsed() == 9s);
  });
}

TEST_CASE("breaker: a shorter timeout around a probe stays in force, with its own code",
          "[breaker]") {
  tried s({.probe_timeout = 5s});
  service slow{.takes = 60s};
  s.play([&]() -> asio::awaitable<void> {
    const auto inside = hf::pipeline().with(hf::timeout{1s}).with(s.breaker);
    const auto around = hf::pipeline()
                            .with(s.breaker)
                            .with(hf::retry{.max_attempts = 1})
                            .with(hf::timeout{1s});
    co_await s.open(inside);
    auto r = co_await inside(slow.call());
    CHECK(r.error().code() == errc::attempt_timeout);
    CHECK(s.elapsed() == 1s);
    co_await hf::sleep_for(10s);
    s.began = s.time.now();
    r = co_await around(slow.call());
    CHECK(r.error().code() == errc::total_timeout);
    CHECK(s.elapsed() == 1s);
  });
}

TEST_CASE("breaker: the service's hint keeps the circuit open, and reaches the caller",
          "[breaker]") {
  stage s;
  const hf::circuit_breaker breaker({.consecutive_failures = 1, .open_for = 10s});
  struct reply {
    int status;
  };
  const auto judge = [](const reply& r) -> hf::classification {
    return r.status == 503 ? hf::classification{hf::verdict::overloaded, 45s}
                           : hf::classification{hf::verdict::success};
  };
  const auto pipe = hf::pipeline().with(breaker).classify(judge);
  int status = 503;
  const auto call = [&]() -> asio::awaitable<reply> { co_return reply{status}; };
  s.play([&]() -> asio::awaitable<void> {
    auto r = co_await pipe(call);
    CHECK(r.has_value());
    CHECK(breaker.state() == breaker_state::open);
    co_await hf::sleep_for(44s);
    r = co_await pipe(call);
    CHECK(r.error().code() == errc::circuit_open);
    CHECK(r.error().retry_after() == 1s);
    co_await hf::sleep_for(1s);
    status = 200;
    r = co_await pipe(call);
    CHECK(r.has_value());
    CHECK(breaker.state() == breaker_state::closed);
  });
}

TEST_CASE("breaker: calls that hang open the circuit for those who come after", "[breaker]") {
  stage s;
  const hf::circuit_breaker breaker({.consecutive_failures = 0,
                                     .slow_rate = 0.5,
                                     .slow_after = 4s,
                                     .window = 60s,
                                     .minimum_calls = 10});
  service hangs{.takes = 60s};
  const auto pipe = hf::pipeline().with(hf::timeout{60s}).with(breaker);
  int refused = 0;
  for (int i = 0; i < 20; ++i) {
    s.start([&, i]() -> asio::awaitable<void> {
      co_await hf::sleep_for(500ms * i);
      const auto r = co_await pipe(hangs.call());
      refused += r.has_error() && r.error().code() == errc::circuit_open;
    });
  }
  s.time.run_for(10s);
  // Ten have begun within 4.5 s; by 9 s all of them hang. No call has ended yet.
  CHECK(breaker.state() == breaker_state::open);
  CHECK(refused > 0);
  CHECK(hangs.asked + refused == 20);
  s.run();
  CHECK(breaker.snapshot(s.time.now()).hanging == 0);
}

TEST_CASE("breaker: the jitter of the open time comes from the seed of virtual time", "[breaker]") {
  const auto open_time = [](std::uint64_t seed) {
    stage s(seed);
    const hf::circuit_breaker breaker(
        {.consecutive_failures = 1, .open_for = 10s, .open_jitter = 0.5});
    s.play([&]() -> asio::awaitable<void> {
      service down{.fails = true};
      const auto pipe = hf::pipeline().with(breaker);
      std::ignore = co_await pipe(down.call());
    });
    return breaker.remaining_open(s.time.now());
  };
  CHECK(open_time(1) == open_time(1));
  CHECK(open_time(1) != open_time(2));
  for (std::uint64_t seed = 1; seed < 20; ++seed) {
    CHECK(open_time(seed) >= 5s);
    CHECK(open_time(seed) <= 10s);
  }
}
