// SPDX-License-Identifier: BSL-1.0
// What docs/order.md shows.
#include "scenario.hpp"

#include <boost/asio/detached.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <string>
#include <tuple>

namespace {

/// Hangs at the first attempt only.
asio::awaitable<std::string> hangs_once(hf::call_context& ctx) {
  if (ctx.attempt() == 1) co_await hf::sleep_for(60s, ctx.token());
  co_return "the answer";
}

asio::awaitable<hf::result<int>> down() {
  co_return hf::failure(asio::error::connection_reset);
}

}  // namespace

TEST_CASE("order: right and wrong") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    hf::time_point start = time.now();
    // [right]
    // hangs_once() hangs at its first attempt and answers at its second.
    auto right = hf::pipeline()
                     .with(hf::timeout{2s})  // innermost: each attempt
                     .with(hf::retry{.wait = {.base = 0s}});
    hf::result<std::string> answer = co_await right(hangs_once);
    CHECK(answer.value() == "the answer");
    CHECK(time.now() - start == 2s);
    // [/right]

    start = time.now();
    // [wrong]
    auto wrong = hf::pipeline()
                     .with(hf::retry{.wait = {.base = 0s}})
                     .with(hf::timeout{2s});  // outermost: all attempts together
    answer = co_await wrong(hangs_once);
    CHECK(answer.error().code() == hf::errc::total_timeout);
    CHECK(answer.error().attempts() == 1);  // the first attempt took all the time
    // [/wrong]
    CHECK(time.now() - start == 2s);
  });
}

TEST_CASE("order: a breaker inside a retry counts attempts, outside it counts operations") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    // [breaker]
    hf::circuit_breaker inside{{.name = "inside"}};
    auto counts_attempts =
        hf::pipeline().with(inside).with(hf::retry{.max_attempts = 3});
    std::ignore = co_await counts_attempts(down);
    CHECK(inside.snapshot(time.now()).consecutive_failures == 3);

    hf::circuit_breaker outside{{.name = "outside"}};
    auto counts_operations =
        hf::pipeline().with(hf::retry{.max_attempts = 3}).with(outside);
    std::ignore = co_await counts_operations(down);
    CHECK(outside.snapshot(time.now()).consecutive_failures == 1);
    // [/breaker]
  });
}

TEST_CASE("order: an open breaker inside a retry ends the operation with the real failure") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    hf::circuit_breaker breaker{{.consecutive_failures = 2}};
    const auto guard = hf::pipeline().with(breaker).with(hf::retry{.max_attempts = 5});
    const hf::result<int> answer = co_await guard(down);
    CHECK(breaker.state() == hf::breaker_state::open);
    CHECK(answer.error().code() == asio::error::connection_reset);
    CHECK(answer.error().attempts() == 2);
  });
}

TEST_CASE("order: a bulkhead outside a retry holds its permit during the delays") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    const auto executor = co_await asio::this_coro::executor;
    hf::bulkhead inside{{.limit = 1}};
    hf::bulkhead outside{{.limit = 1}};
    const hf::retry retry{.max_attempts = 2, .wait = {.base = 1s, .jitter = hf::jitter::none}};
    const auto guard = hf::pipeline().with(inside).with(retry).with(outside);
    const auto client = [&]() -> asio::awaitable<void> {
      std::ignore = co_await guard(down);
    };
    asio::co_spawn(executor, client, asio::detached);
    co_await hf::sleep_for(500ms);
    CHECK(inside.in_use() == 0);
    CHECK(outside.in_use() == 1);
    co_await hf::sleep_for(1s);
    CHECK(outside.in_use() == 0);
  });
}

TEST_CASE("order: the refusal of an inner policy is neither repeated nor counted") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    hf::circuit_breaker isolated{{.name = "isolated"}};
    isolated.isolate(time.now());
    hf::circuit_breaker around{{.name = "around"}};
    const auto guard = hf::pipeline().with(isolated).with(hf::retry{}).with(around);
    const hf::time_point start = time.now();
    const hf::result<int> answer = co_await guard(down);
    CHECK(answer.error().code() == hf::errc::circuit_isolated);
    CHECK(answer.error().attempts() == 0);
    CHECK(time.now() == start);
    CHECK(around.snapshot(time.now()).consecutive_failures == 0);
  });
}

TEST_CASE("order: describe prints the stack, outermost first") {
  // [describe]
  hf::circuit_breaker breaker{{.name = "gpt-4"}};
  auto guard = hf::pipeline()
                   .with(hf::timeout{2s})
                   .with(hf::retry{})
                   .with(breaker)
                   .with(hf::timeout{5s})
                   .fallback(0, {.name = "zero"});
  CHECK(guard.describe() ==
        "fallback 'zero': degraded answers\n"
        "timeout: 5s for all attempts\n"
        "circuit_breaker 'gpt-4': opens after 5 failures in a row for 30s; "
        "1 at a time as probe, leased for 60s, 1 in a row close it\n"
        "retry: at most 3 attempts, exponential delays from 100ms up to 20s by 2, full jitter, "
        "retry-after up to 60s\n"
        "timeout: 2s for each attempt\n"
        "safe utilisation: 33.3 %\n");
  // [/describe]
}

TEST_CASE("order: what only values tell is refused at construction") {
  // [refused]
  // A timeout inside a shorter one would never expire.
  auto guard = hf::pipeline().with(hf::timeout{5s});
  CHECK_THROWS_AS(guard.with(hf::timeout{2s}), hf::invalid_options);

  // All faults at once, each with its name, its value and what it may be.
  try {
    guard.with(hf::retry{.max_attempts = 0, .wait = {.base = -1s}});
    FAIL("not refused");
  } catch (const hf::invalid_options& e) {
    REQUIRE(e.faults().size() == 2);
    CHECK(e.faults()[0] == "max_attempts = 0: must be at least 1");
    CHECK(e.faults()[1] == "wait.base = -1s: must be at least 0s");
  }
  // [/refused]
}
