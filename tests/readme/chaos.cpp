// SPDX-License-Identifier: BSL-1.0
// What docs/chaos.md shows.
#include "scenario.hpp"

#include <boost/asio/error.hpp>
#include <stdexcept>
#include <string>

namespace {

asio::awaitable<int> ask_gpt4(hf::call_context& ctx) {
  co_await hf::sleep_for(100ms, ctx.token());
  co_return 42;
}

asio::awaitable<int> ask_gpt35(hf::call_context& ctx) {
  co_await hf::sleep_for(50ms, ctx.token());
  co_return 35;
}

}  // namespace

TEST_CASE("chaos: a rehearsal") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    // [basic]
    const auto reset = asio::error::make_error_code(asio::error::connection_reset);
    hf::chaos chaos{{.name = "gpt-4",
                     .rules = {{.first_attempt = 3, .last_attempt = 7, .fault = reset}}}};
    hf::circuit_breaker breaker{{.name = "gpt-4", .consecutive_failures = 5, .open_for = 60s}};
    auto guard = hf::pipeline()
                     .with(chaos)  // innermost: it stands in for the service
                     .with(breaker)
                     .fallback(ask_gpt35);

    hf::result<int> answer = co_await guard(ask_gpt4);
    CHECK(answer.value() == 42);  // it is off

    chaos.enable();
    for (int attempt = 1; attempt <= 7; ++attempt) {
      answer = co_await guard(ask_gpt4);
      CHECK(answer.value() == (attempt < 3 ? 42 : 35));
    }
    CHECK(breaker.state() == hf::breaker_state::open);
    chaos.disable();
    // [/basic]
    CHECK(breaker.remaining_open(time.now()) > 59s);
  });
}

TEST_CASE("chaos: what it can do") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    // [rules]
    hf::chaos chaos{
        {.seed = 7,
         .enabled = true,
         .rules = {
             // The first ten attempts: refused as the service itself might do it.
             {.last_attempt = 10, .fault = hf::failure(hf::errc::shed).with_retry_after(2s)},
             // From one minute to two after the first attempt: a brown-out of a third of the calls.
             {.rate = 0.33,
              .from = 1min,
              .until = 2min,
              .delay = {.kind = hf::chaos_delay_kind::exponential, .base = 3s, .cap = 20s}},
             // One call in a thousand never answers.
             {.rate = 0.001, .hang = true},
             // For one tenant: an exception, after a while.
             {.only_if = [](const hf::call_context& c) { return c.tag("tenant") == "test"; },
              .delay = {.base = 100ms},
              .fault =
                  hf::failure(std::make_exception_ptr(std::runtime_error("out of memory")))}}}};
    // [/rules]
    auto guard = hf::pipeline().with(chaos);
    hf::result<int> refused = co_await guard(ask_gpt4);
    CHECK(refused.error().code() == hf::errc::shed);
    CHECK(refused.error().retry_after() == 2s);
    for (int i = 0; i < 9; ++i) refused = co_await guard(ask_gpt4);
    hf::result<int> spared = co_await guard(ask_gpt4);
    CHECK(spared.has_value());
    const hf::tag_set tags{{"tenant", "test"}};
    const hf::time_point start = time.now();
    hf::result<int> struck = co_await guard(ask_gpt4, {.tags = &tags});
    CHECK_THROWS_AS(struck.value(), std::runtime_error);
    CHECK(time.now() - start == 100ms);
  });
}

TEST_CASE("chaos: a hang meets the timeout") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    // [hang]
    hf::chaos chaos{{.enabled = true, .rules = {{.last_attempt = 1, .hang = true}}}};
    auto guard = hf::pipeline().with(chaos).with(hf::timeout{2s}).with(
        hf::retry{.wait = {.base = 0ms, .jitter = hf::jitter::none}});

    const hf::time_point start = time.now();
    hf::result<int> answer = co_await guard(ask_gpt4);
    CHECK(answer.value() == 42);  // the second attempt
    CHECK(time.now() - start == 2100ms);
    CHECK(chaos.snapshot().hung == 1);
    // [/hang]
  });
}
