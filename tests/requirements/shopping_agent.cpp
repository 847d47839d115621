// SPDX-License-Identifier: BSL-1.0
// Case study B: a shopping agent calls a recommendation service.
#include <catch2/catch_all.hpp>
#include <cstdint>
#include <string>

#include "../support/allocations.hpp"
#include "../support/stage.hpp"

using namespace std::chrono_literals;
using namespace test;
using hf::breaker_cause;
using hf::breaker_state;
using hf::errc;

namespace {

struct service_error : std::runtime_error {
  using runtime_error::runtime_error;
};

/// The recommendation service, told each time whether to fail.
struct recommendations {
  int asked = 0;
  bool fails = false;
  hf::duration takes = 0s;
  auto call() {
    return [this]() -> asio::awaitable<int> {
      ++asked;
      const bool bad = fails;
      if (takes > 0s) co_await hf::sleep_for(takes);
      if (bad) throw service_error("recommendations are down");
      co_return 7;
    };
  }
};

const hf::circuit_breaker_options half_in_ten_seconds{.name = "recommendations",
                                                      .consecutive_failures = 0,
                                                      .failure_rate = 0.5,
                                                      .window = 10s,
                                                      .minimum_calls = 10,
                                                      .open_for = 30s,
                                                      .successes_to_close = 2};

/// A scene with one breaker and one service.
struct agent : stage {
  explicit agent(const hf::circuit_breaker_options& o = half_in_ten_seconds) : breaker(o) {
    changes = breaker.on_transition([this](const hf::breaker_transition& t) {
      causes.push_back(t.cause);
    });
  }
  asio::awaitable<hf::result<int>> ask(bool fails) {
    service.fails = fails;
    return pipe(service.call());
  }
  asio::awaitable<void> open() {
    while (breaker.state() == breaker_state::closed) (void)co_await ask(true);
    service.asked = 0;
  }
  unsigned in_window() {
    return static_cast<unsigned>(breaker.snapshot(time.now()).calls_in_window);
  }

  recommendations service;
  hf::circuit_breaker breaker;
  decltype(hf::pipeline().with(breaker)) pipe = hf::pipeline().with(breaker);
  std::vector<breaker_cause> causes;
  hf::subscription changes;
};

}  // namespace

TEST_CASE("B1: half of the calls within ten seconds opens, older ones no longer count",
          "[requirements]") {
  agent a;
  a.play([&]() -> asio::awaitable<void> {
    // Nine failures are fewer than the minimum, and have left the window before the next come.
    for (int i = 0; i < 9; ++i) (void)co_await a.ask(true);
    CHECK(a.in_window() == 9);
    co_await hf::sleep_for(10s);
    CHECK(a.in_window() == 0);
    for (int i = 0; i < 20; ++i) {
      (void)co_await a.ask(i % 20 >= 11);  // nine of twenty: 45 %
      co_await hf::sleep_for(400ms);
    }
    CHECK(a.breaker.state() == breaker_state::closed);
    (void)co_await a.ask(true);
    (void)co_await a.ask(true);
    CHECK(a.breaker.state() == breaker_state::open);
    CHECK(a.causes == std::vector{breaker_cause::failure_rate});
  });
}

TEST_CASE("B1: the window's cost does not grow with the traffic", "[requirements]") {
  // What a breaker keeps has a fixed size, however many calls are in the window: no list of them.
  agent a;
  a.play([&]() -> asio::awaitable<void> {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    for (int i = 0; i < 100'000; ++i) {
      const auto before = support::allocations();
      (void)co_await a.ask(i % 4 == 0);
      const auto allocated = support::allocations() - before;
      if (i >= 1'000 && i < 11'000) first += allocated;
      if (i >= 90'000) last += allocated;
    }
    CHECK(first == last);
    CHECK(a.in_window() == 100'000);
    CHECK(a.breaker.state() == breaker_state::closed);
    CHECK(a.breaker.snapshot(a.time.now()).bad_in_window == 25'000);
  });
  STATIC_CHECK(sizeof(hf::detail::packed_window) <= 128);
  STATIC_CHECK(sizeof(hf::detail::failure_window) ==
               hf::detail::call_kinds * hf::detail::window_clock::buckets * sizeof(std::uint64_t));
  STATIC_CHECK(std::is_trivially_destructible_v<hf::detail::failure_window>);
}

TEST_CASE("B2: open for thirty seconds in full before the first test request", "[requirements]") {
  agent a;
  a.play([&]() -> asio::awaitable<void> {
    co_await a.open();
    co_await hf::sleep_for(30s - 1ns);
    const auto early = co_await a.ask(false);
    CHECK(early.error().code() == errc::circuit_open);
    CHECK(early.error().retry_after() == 1ns);
    CHECK(a.service.asked == 0);
    co_await hf::sleep_for(1ns);
    const auto first = co_await a.ask(false);
    CHECK(first.has_value());
    CHECK(a.service.asked == 1);
  });
}

TEST_CASE("B3: one test request at a time, two successes in a row close, one failure opens",
          "[requirements]") {
  agent a;
  CHECK(hf::circuit_breaker_options{}.half_open_probes == 1);
  a.play([&]() -> asio::awaitable<void> {
    co_await a.open();
    co_await hf::sleep_for(30s);
  });
  // A thousand sessions at once: one gets through.
  a.service.takes = 200ms;
  int served = 0;
  int refused = 0;
  for (int i = 0; i < 1000; ++i) {
    a.start([&]() -> asio::awaitable<void> {
      const auto r = co_await a.ask(false);
      ++(r.has_value() ? served : refused);
    });
  }
  a.run();
  CHECK(served == 1);
  CHECK(refused == 999);
  CHECK(a.service.asked == 1);
  a.play([&]() -> asio::awaitable<void> {
    CHECK(a.breaker.state() == breaker_state::half_open);
    SECTION("the second success closes") {
      (void)co_await a.ask(false);
      CHECK(a.breaker.state() == breaker_state::closed);
    }
    SECTION("one failure opens again, for the whole time, and the count begins anew") {
      (void)co_await a.ask(true);
      CHECK(a.breaker.state() == breaker_state::open);
      CHECK(a.breaker.remaining_open(a.time.now()) == 30s);
      co_await hf::sleep_for(30s);
      (void)co_await a.ask(false);
      CHECK(a.breaker.state() == breaker_state::half_open);
      (void)co_await a.ask(false);
      CHECK(a.breaker.state() == breaker_state::closed);
    }
  });
}

TEST_CASE("B4: the rate is judged after successes too", "[requirements]") {
  agent a;
  a.play([&]() -> asio::awaitable<void> {
    for (int i = 0; i < 12; ++i) (void)co_await a.ask(false);
    co_await hf::sleep_for(5s);
    for (int i = 0; i < 10; ++i) (void)co_await a.ask(true);
    CHECK(a.breaker.state() == breaker_state::closed);  // 10 of 22
    // The twelve good calls leave the window; the next success finds 10 bad of 11.
    co_await hf::sleep_for(5s);
    const auto good = co_await a.ask(false);
    CHECK(good.has_value());
    CHECK(a.breaker.state() == breaker_state::open);
  });
}

TEST_CASE("B5: a refused call and a failed one are different errors", "[requirements]") {
  agent a;
  a.play([&]() -> asio::awaitable<void> {
    const auto failed = co_await a.ask(true);
    CHECK(failed.error().code() != hf::condition::rejected);
    CHECK(failed.error().policy() == hf::policy_kind::none);
    CHECK(failed.error().exception() != nullptr);
    CHECK_THROWS_AS(failed.value(), service_error);
    CHECK_THROWS_WITH(failed.value(), "recommendations are down");
    CHECK(failed.error().attempts() == 1);

    co_await a.open();
    const auto refused = co_await a.ask(true);
    CHECK(refused.error().code() == errc::circuit_open);
    CHECK(refused.error().code() == hf::condition::rejected);
    CHECK(refused.error().policy() == hf::policy_kind::circuit_breaker);
    CHECK(refused.error().exception() == nullptr);
    CHECK(refused.error().attempts() == 0);
    CHECK_THROWS_AS(refused.value(), hf::error);
  });
}

TEST_CASE("B5: in a retry, the refusal does not hide the failure that came before it",
          "[requirements]") {
  agent a({.name = "recommendations", .consecutive_failures = 2, .open_for = 30s});
  const auto pipe = a.pipe.with(hf::retry{.max_attempts = 5, .wait = {.base = 1ms}});
  a.service.fails = true;
  a.play([&]() -> asio::awaitable<void> {
    const auto r = co_await pipe(a.service.call());
    CHECK(a.service.asked == 2);
    CHECK_THROWS_AS(r.value(), service_error);
  });
}

TEST_CASE("B6: opens past the threshold", "[requirements]") {
  agent a;
  a.play([&]() -> asio::awaitable<void> {
    for (int i = 0; i < 9; ++i) (void)co_await a.ask(true);
    CHECK(a.breaker.state() == breaker_state::closed);
    (void)co_await a.ask(true);
    CHECK(a.breaker.state() == breaker_state::open);
    const auto r = co_await a.ask(false);
    CHECK(r.error().code() == errc::circuit_open);
  });
}

TEST_CASE("B6: recovers after the time-out", "[requirements]") {
  agent a;
  a.play([&]() -> asio::awaitable<void> {
    co_await a.open();
    co_await hf::sleep_for(30s);
    (void)co_await a.ask(false);
    CHECK(a.breaker.state() == breaker_state::half_open);
    (void)co_await a.ask(false);
    CHECK(a.breaker.state() == breaker_state::closed);
    for (int i = 0; i < 100; ++i) {
      const auto r = co_await a.ask(false);
      CHECK(r.has_value());
    }
  });
  CHECK(a.causes == std::vector{breaker_cause::failure_rate, breaker_cause::open_time_over,
                                breaker_cause::probes_succeeded});
}

TEST_CASE("B6: reopens when the test fails", "[requirements]") {
  agent a;
  a.play([&]() -> asio::awaitable<void> {
    co_await a.open();
    co_await hf::sleep_for(30s);
    const auto test = co_await a.ask(true);
    CHECK_THROWS_AS(test.value(), service_error);
    CHECK(a.breaker.state() == breaker_state::open);
    CHECK(a.breaker.remaining_open(a.time.now()) == 30s);
    const auto r = co_await a.ask(false);
    CHECK(r.error().code() == errc::circuit_open);
  });
  CHECK(a.causes == std::vector{breaker_cause::failure_rate, breaker_cause::open_time_over,
                                breaker_cause::probe_failed});
}
