// SPDX-License-Identifier: BSL-1.0
// What docs/hedge.md shows.
#include "scenario.hpp"

#include <tuple>

namespace {

int calls = 0;

/// Every tenth call takes two seconds.
asio::awaitable<int> look_up(hf::call_context& ctx) {
  const int number = ++calls;
  co_await hf::sleep_for(number % 10 == 1 ? 2s : 50ms, ctx.token());
  co_return number;
}

}  // namespace

TEST_CASE("hedge: the second attempt overtakes a slow first one") {
  calls = 0;
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    const hf::time_point start = time.now();
    // [basic]
    hf::hedge hedge{{.name = "look-up", .delay = 200ms}};
    auto guard = hf::pipeline().with(hedge);

    hf::result<int> answer = co_await guard(look_up);  // the first attempt would take 2 s
    CHECK(answer.value() == 2);                        // the second attempt's answer
    CHECK(time.now() - start == 250ms);
    CHECK(hedge.snapshot().hedges_won == 1);
    // [/basic]
  });
}

TEST_CASE("hedge: what is below it belongs to each attempt") {
  calls = 0;
  in_virtual_time([](hf::testing::virtual_time&) -> asio::awaitable<void> {
    hf::circuit_breaker breaker;
    // [order]
    auto guard = hf::pipeline()
                     .with(hf::timeout{500ms})           // each attempt
                     .with(breaker)                      // sees each attempt
                     .with(hf::hedge{{.delay = 100ms}})  // races them
                     .with(hf::timeout{2s})              // all of it
                     .fallback(0);
    // [/order]
    const hf::result<int> answer = co_await guard(look_up);
    CHECK(answer.value() == 2);
  });
}

TEST_CASE("hedge: a delay that follows the service") {
  calls = 1;
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    // [percentile]
    hf::hedge hedge{{.delay = 1s, .percentile = 0.85, .minimum_samples = 50}};
    auto guard = hf::pipeline().with(hedge);

    for (int i = 0; i < 200; ++i) std::ignore = co_await guard(look_up);
    CHECK(hedge.snapshot(time.now()).delay < 60ms);  // the calls that are not slow take 50 ms
    // [/percentile]
  });
}
