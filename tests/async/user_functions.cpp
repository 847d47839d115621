// SPDX-License-Identifier: BSL-1.0
// Functions of the user's that take their time: nothing that begins after them ends early.
#include <boost/asio/error.hpp>
#include <catch2/catch_all.hpp>
#include <string>

#include "../support/stage.hpp"

using namespace std::chrono_literals;
using test::stage;
namespace asio = boost::asio;
namespace hf = holdfast;

namespace {

/// Lets time pass on the spot, as a function that computes does.
void take(stage& s, hf::duration d) { s.time.run_for(d); }

asio::awaitable<hf::result<int>> down() {
  co_return hf::failure(asio::error::connection_reset);
}

hf::backoff every(hf::duration d) { return {.base = d, .factor = 1, .jitter = hf::jitter::none}; }

}  // namespace

TEST_CASE("a timeout inside a cache begins after the key is made", "[user_functions]") {
  const hf::duration after = GENERATE(hf::duration(50ms), hf::duration(100ms));
  stage s;
  const hf::cache<int> cache(
      {.key = [&](const hf::call_context&) {
        take(s, 60ms);
        return std::string("k");
      }});
  const auto guard = hf::pipeline().with(hf::timeout{after}).with(cache);
  auto call = [](hf::call_context& ctx) -> asio::awaitable<int> {
    co_await hf::sleep_for(1h, ctx.token());
    co_return 1;
  };
  s.play([&]() -> asio::awaitable<void> { co_await test::expect_error(guard(call)); });
  CHECK(s.elapsed() == 60ms + after);
}

TEST_CASE("the time that a key takes makes no call slow", "[user_functions]") {
  stage s;
  const hf::cache<int> cache(
      {.key = [&](const hf::call_context&) {
        take(s, 60ms);
        return std::string("k");
      }});
  const hf::circuit_breaker breaker({.consecutive_failures = 0,
                                     .slow_rate = 0.5,
                                     .slow_after = 50ms,
                                     .window = 10s,
                                     .minimum_calls = 1});
  const auto guard = hf::pipeline().with(breaker).with(cache);
  auto call = [](hf::call_context& ctx) -> asio::awaitable<int> {
    co_await hf::sleep_for(10ms, ctx.token());
    co_return 1;
  };
  s.play([&]() -> asio::awaitable<void> { co_await test::expect_value(guard(call)); });
  CHECK(breaker.state() == hf::breaker_state::closed);
}

TEST_CASE("a retry's delay begins after its predicate", "[user_functions]") {
  stage s;
  const auto guard = hf::pipeline().with(hf::retry{.max_attempts = 2,
                                                   .wait = every(100ms),
                                                   .only_if = [&](const hf::failure*, hf::verdict) {
                                                     take(s, 60ms);
                                                     return true;
                                                   }});
  s.play([&]() -> asio::awaitable<void> { co_await test::expect_error(guard(down)); });
  CHECK(s.elapsed() == 160ms);
}

TEST_CASE("a retry's delay begins after the listeners of a breaker below", "[user_functions]") {
  stage s;
  hf::circuit_breaker breaker({.consecutive_failures = 1});
  const auto listening = breaker.on_transition([&](const hf::breaker_transition&) { take(s, 60ms); });
  const auto guard = hf::pipeline().with(breaker).with(
      hf::retry{.max_attempts = 2, .wait = every(100ms)});
  s.play([&]() -> asio::awaitable<void> { co_await test::expect_error(guard(down)); });
  CHECK(s.elapsed() == 160ms);
}

TEST_CASE("a breaker's open time begins after its predicate", "[user_functions]") {
  stage s;
  const hf::circuit_breaker breaker({.consecutive_failures = 0,
                                     .opens_if =
                                         [&](const hf::breaker_window&) {
                                           take(s, 60ms);
                                           return true;
                                         },
                                     .minimum_calls = 1,
                                     .open_for = 100ms});
  const auto guard = hf::pipeline().with(breaker);
  s.play([&]() -> asio::awaitable<void> { co_await test::expect_error(guard(down)); });
  REQUIRE(breaker.state() == hf::breaker_state::open);
  CHECK(breaker.remaining_open(s.time.now()) == 100ms);
}

TEST_CASE("an outer breaker's open time begins after the listeners of an inner one",
          "[user_functions]") {
  stage s;
  hf::circuit_breaker inner({.consecutive_failures = 1});
  const auto listening = inner.on_transition([&](const hf::breaker_transition&) { take(s, 60ms); });
  const hf::circuit_breaker outer({.consecutive_failures = 1, .open_for = 100ms});
  const auto guard = hf::pipeline().with(inner).with(outer);
  s.play([&]() -> asio::awaitable<void> { co_await test::expect_error(guard(down)); });
  CHECK(outer.remaining_open(s.time.now()) == 100ms);
}

TEST_CASE("listeners of a breaker that becomes half-open make no call inside slow",
          "[user_functions]") {
  stage s;
  hf::circuit_breaker outer({.consecutive_failures = 1, .open_for = 1s});
  const hf::circuit_breaker inner({.consecutive_failures = 0,
                                   .slow_rate = 0.5,
                                   .slow_after = 50ms,
                                   .window = 10s,
                                   .minimum_calls = 1});
  const auto guard = hf::pipeline().with(inner).with(outer);
  s.play([&]() -> asio::awaitable<void> {
    co_await test::expect_error(hf::pipeline().with(outer)(down));
    co_await hf::sleep_for(2s);
    const auto listening =
        outer.on_transition([&](const hf::breaker_transition&) { take(s, 60ms); });
    co_await test::expect_value(guard([]() -> asio::awaitable<int> { co_return 1; }));
  });
  CHECK(inner.state() == hf::breaker_state::closed);
}

TEST_CASE("what chaos holds up is held up for as long as it says", "[user_functions]") {
  const bool listens = GENERATE(false, true);
  stage s;
  hf::chaos_rule rule{.delay = {.base = 100ms}};
  if (!listens) {
    rule.only_if = [&](const hf::call_context&) {
      take(s, 60ms);
      return true;
    };
  }
  hf::chaos chaos({.enabled = true, .rules = {rule}});
  hf::subscription listening;
  if (listens) {
    listening = chaos.on_strike([&](const hf::chaos_strike&) { take(s, 60ms); });
  }
  const auto guard = hf::pipeline().with(chaos);
  s.play([&]() -> asio::awaitable<void> {
    co_await test::expect_value(guard([]() -> asio::awaitable<int> { co_return 1; }));
  });
  CHECK(s.elapsed() == 160ms);
}

TEST_CASE("an answer is kept for its time after the functions that decide on it",
          "[user_functions]") {
  stage s;
  int calls = 0;
  const hf::cache<int> cache({.ttl = 100ms,
                              .ttl_jitter = 0,
                              .store_if = [&](const int&) {
                                take(s, 60ms);
                                return true;
                              }});
  const auto guard = hf::pipeline().with(hf::timeout{1h}).with(cache);
  auto call = [&]() -> asio::awaitable<int> { co_return ++calls; };
  s.play([&]() -> asio::awaitable<void> {
    co_await test::expect_value(guard(call, {.cache_key = "k"}));
    co_await hf::sleep_for(99ms);
    co_await test::expect_value(guard(call, {.cache_key = "k"}));
  });
  CHECK(calls == 1);
}

TEST_CASE("a budget's window begins after the predicate of a fallback", "[user_functions]") {
  stage s;
  const hf::retry_budget budget({.ratio = 0, .ttl = 1s, .min_per_second = 1});
  const auto guard = hf::pipeline().fallback(1, {.only_if =
                                                     [&](const hf::failure*, hf::verdict) {
                                                       take(s, 600ms);
                                                       return true;
                                                     },
                                                 .budget = budget});
  s.play([&]() -> asio::awaitable<void> {
    co_await test::expect_value(guard(down));
    co_await hf::sleep_for(600ms);
  });
  CHECK(budget.snapshot(s.time.now()).reserved_in_window == 1);
}

TEST_CASE("a refresh in the background has its whole time", "[user_functions]") {
  stage s;
  const hf::cache<int> cache({.ttl = 1s,
                              .ttl_jitter = 0,
                              .stale_while_revalidate = 1h,
                              .refresh_timeout = 100ms});
  int calls = 0;
  const auto guard = hf::pipeline().with(cache);
  auto call = [&](hf::call_context& ctx) -> asio::awaitable<int> {
    if (calls++ > 0) co_await hf::sleep_for(90ms, ctx.token());
    co_return calls;
  };
  s.play([&]() -> asio::awaitable<void> {
    co_await test::expect_value(guard(call, {.cache_key = "k"}));
    co_await hf::sleep_for(2s);
    co_await test::expect_value(guard(call, {.cache_key = "k"}));
    co_await hf::sleep_for(500ms);
    co_await test::expect_answer(guard(call, {.cache_key = "k"}), 2);
  });
}
