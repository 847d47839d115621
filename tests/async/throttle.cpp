// SPDX-License-Identifier: BSL-1.0
// The throttle in pipelines, in virtual time.
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <catch2/catch_approx.hpp>
#include <optional>
#include <tuple>
#include <vector>

#include "../support/stage.hpp"

namespace {

using test::asio::awaitable;
using test::stage;
namespace asio = test::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

auto fails = []() -> awaitable<hf::result<int>> {
  co_return hf::failure(asio::error::connection_reset);
};
auto works = []() -> awaitable<int> { co_return 1; };

/// Turns everything away once nothing is accepted.
hf::throttle closed_throttle() {
  return hf::throttle({.name = "t", .window = 120s, .min_per_second = 0, .max_rejection = 1});
}

template <class Pipe>
awaitable<void> fail_often(const Pipe& pipe, int times) {
  for (int i = 0; i < times; ++i) std::ignore = co_await pipe(fails);
}

}  // namespace

TEST_CASE("throttle: a refusal says who and why, and is not repeated", "[throttle]") {
  stage s;
  const auto throttle = closed_throttle();
  const auto direct = hf::pipeline().with(throttle);
  const auto pipe = direct.with(hf::retry{.max_attempts = 5});
  s.play([&]() -> awaitable<void> {
    co_await fail_often(direct, 10'000);
    const auto before = throttle.rejected();
    const auto r = co_await pipe(works);
    REQUIRE(r.has_error());  // but for one seed in ten thousand
    CHECK(r.error().code() == hf::errc::shed);
    CHECK(r.error().code() == hf::condition::rejected);
    CHECK(r.error().policy() == hf::policy_kind::throttle);
    CHECK(r.error().policy_name() == "t");
    CHECK(r.error().attempts() == 0);
    CHECK(throttle.rejected() - before == 1);
    const auto answered = co_await pipe.fallback(7)(works);
    CHECK(answered.value() == 7);
  });
  CHECK(s.elapsed() == 0s);
}

TEST_CASE("throttle: inside a retry every attempt counts", "[throttle]") {
  stage s;
  const hf::throttle throttle;
  const auto pipe = hf::pipeline().with(throttle).with(hf::retry{.max_attempts = 3});
  s.play([&]() -> awaitable<void> { std::ignore = co_await pipe(fails); });
  CHECK(throttle.snapshot(s.time.now()).requests == 3);
  CHECK(throttle.snapshot(s.time.now()).accepts == 0);
}

TEST_CASE("throttle: what a policy below refuses was not sent", "[throttle]") {
  stage s;
  const hf::throttle throttle;
  hf::circuit_breaker breaker;
  breaker.isolate(s.time.now());
  const auto pipe = hf::pipeline().with(breaker).with(throttle);
  s.play([&]() -> awaitable<void> {
    for (int i = 0; i < 10; ++i) std::ignore = co_await pipe(works);
  });
  CHECK(throttle.snapshot(s.time.now()).requests == 0);
}

TEST_CASE("throttle: a caller who gives up has said nothing of the service", "[throttle]") {
  stage s;
  const hf::throttle throttle;
  const auto pipe = hf::pipeline().with(throttle);
  const auto hangs = []() -> awaitable<int> {
    co_await hf::sleep_for(1h);
    co_return 1;
  };
  asio::cancellation_signal stop;
  const auto scene = [&]() -> awaitable<void> { std::ignore = co_await pipe(hangs); };
  asio::co_spawn(s.context, scene,
                 asio::bind_cancellation_slot(stop.slot(), [](std::exception_ptr) {}));
  s.time.run_for(1s);
  CHECK(throttle.snapshot(s.time.now()).requests == 1);
  stop.emit(asio::cancellation_type::terminal);
  s.time.run();
  CHECK(throttle.snapshot(s.time.now()).requests == 0);
}

TEST_CASE("throttle: an executor that is destroyed takes its calls back", "[throttle]") {
  const hf::throttle throttle;
  std::optional<stage> s(std::in_place);
  const auto pipe = hf::pipeline().with(throttle);
  const auto hangs = []() -> awaitable<int> {
    co_await hf::sleep_for(1h);
    co_return 1;
  };
  for (int i = 0; i < 3; ++i) {
    s->start([&]() -> awaitable<void> { std::ignore = co_await pipe(hangs); });
  }
  s->time.run_for(1s);
  const auto now = s->time.now();
  CHECK(throttle.snapshot(now).requests == 3);
  s.reset();
  CHECK(throttle.snapshot(now).requests == 0);
}

TEST_CASE("throttle: one seed, one course of events", "[throttle]") {
  const auto course = [](std::uint64_t seed) {
    stage s(seed);
    const hf::throttle throttle({.min_per_second = 0});
    const auto pipe = hf::pipeline().with(throttle);
    std::vector<bool> sent;
    s.play([&]() -> awaitable<void> {
      for (int i = 0; i < 300; ++i) {
        const auto r = co_await pipe(fails);
        sent.push_back(r.error().code() != hf::errc::shed);
        co_await hf::sleep_for(10ms);
      }
    });
    return sent;
  };
  const auto first = course(1);
  CHECK(first == course(1));
  CHECK(first != course(2));
}

TEST_CASE("throttle: a service that can take a third of the load", "[throttle]") {
  // 300 wishes a second, the service accepts 100 of them: it is offered twice of that.
  stage s;
  const hf::throttle throttle({.window = 60s});
  const auto pipe = hf::pipeline().with(throttle);
  int second = -1;
  int arrived = 0;
  int in_all = 0;
  bool measured = false;
  const auto call = [&]() -> awaitable<hf::result<int>> {
    const auto now = static_cast<int>(s.elapsed() / 1s);
    if (now != second) {
      second = now;
      arrived = 0;
    }
    in_all += measured;
    if (++arrived > 100) co_return hf::failure(asio::error::connection_refused);
    co_return 1;
  };
  s.play([&]() -> awaitable<void> {
    for (int i = 0; i < 300 * 240; ++i) {
      measured = i >= 300 * 120;
      std::ignore = co_await pipe(call);
      const auto next = s.began + i * hf::duration(1s) / 300;
      if (next > s.time.now()) co_await hf::sleep_for(next - s.time.now());
    }
  });
  CHECK(in_all == Catch::Approx(200 * 120).epsilon(0.1));
}

TEST_CASE("throttle: describes itself", "[throttle][describe]") {
  CHECK(hf::pipeline().with(hf::throttle({.name = "search"})).describe() ==
        "throttle 'search': at most 2 calls for each accepted within 120s, from 5 per second, "
        "turns away up to 90 %\n");
  CHECK(hf::pipeline().with(hf::throttle({.min_per_second = 0, .max_rejection = 1})).describe() ==
        "throttle '': at most 2 calls for each accepted within 120s, turns away up to 100 %\n");
  CHECK(to_string(hf::policy_kind::throttle) == "throttle");
}
