// SPDX-License-Identifier: BSL-1.0
// What does it cost to say no? The bare counterpart is the call that is not made.
#include <boost/asio/detached.hpp>
#include <chrono>
#include <stdexcept>

#include "calls.hpp"
#include "paired.hpp"

using namespace bench;
using namespace std::chrono_literals;

namespace {

asio::awaitable<void> measure_open(benchmark::State& state, const hf::circuit_breaker& breaker) {
  const auto pipeline = hf::pipeline().with(breaker);
  const auto failing = []() -> asio::awaitable<int> {
    throw std::runtime_error("down");
    co_return 0;
  };
  static_cast<void>(co_await pipeline(failing));
  if (breaker.state() != hf::breaker_state::open) {
    state.SkipWithError("the circuit is not open");
    co_return;
  }
  co_await run_paired(state, ready_call, [&pipeline] { return pipeline(ready_context_call); });
}

void open_reject(benchmark::State& state) {
  asio::io_context context{1};
  const hf::circuit_breaker breaker(
      {.name = "service", .consecutive_failures = 1, .open_for = 1h});
  asio::co_spawn(context, measure_open(state, breaker), asio::detached);
  context.run();
}
BENCHMARK(open_reject)->UseManualTime();

asio::awaitable<void> hold_permit(const hf::bulkhead& bulkhead, asio::steady_timer& until) {
  const auto pipeline = hf::pipeline().with(bulkhead);
  const auto wait = [&until]() -> asio::awaitable<void> {
    co_await until.async_wait(asio::as_tuple(asio::deferred));
  };
  const auto ended = co_await pipeline(wait);
  benchmark::DoNotOptimize(&ended);
}

asio::awaitable<void> measure_full(benchmark::State& state, const hf::bulkhead& bulkhead,
                                   asio::steady_timer& holder) {
  const auto pipeline = hf::pipeline().with(bulkhead);
  co_await run_paired(state, ready_call, [&pipeline] { return pipeline(ready_context_call); });
  if (bulkhead.refused() == 0) state.SkipWithError("nothing was refused");
  holder.cancel();
}

void bulkhead_full_reject(benchmark::State& state) {
  asio::io_context context{1};
  const hf::bulkhead bulkhead({.name = "service", .limit = 1});
  asio::steady_timer holder(context, asio::steady_timer::time_point::max());
  asio::co_spawn(context, hold_permit(bulkhead, holder), asio::detached);
  asio::co_spawn(context, measure_full(state, bulkhead, holder), asio::detached);
  context.run();
}
BENCHMARK(bulkhead_full_reject)->UseManualTime();

}  // namespace
