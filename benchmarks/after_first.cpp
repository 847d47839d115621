// SPDX-License-Identifier: BSL-1.0
// What does a policy add to a pipeline that has one already? Each row is paired with the pipeline
// that has only the first policy.
#include <chrono>

#include "calls.hpp"
#include "paired.hpp"

using namespace bench;
using namespace std::chrono_literals;

namespace {

template <class First, class Both>
void compare(benchmark::State& state, const First& first, const Both& both) {
  asio::io_context context{1};
  paired(
      state, context, [&first] { return first(ready_context_call); },
      [&both] { return both(ready_context_call); });
}

template <class Policy>
void after_timeout(benchmark::State& state, const Policy& policy) {
  const auto first = hf::pipeline().with(hf::timeout{2s});
  compare(state, first, first.with(policy));
}

void breaker_after_first(benchmark::State& state) {
  after_timeout(state, hf::circuit_breaker({.name = "service", .failure_rate = 0.5}));
}
BENCHMARK(breaker_after_first)->UseManualTime();

void breaker_slow_after_after_first(benchmark::State& state) {
  after_timeout(state,
                hf::circuit_breaker({.name = "service", .failure_rate = 0.5, .slow_after = 1s}));
}
BENCHMARK(breaker_slow_after_after_first)->UseManualTime();

void breaker_window_calls_after_first(benchmark::State& state) {
  after_timeout(state,
                hf::circuit_breaker({.name = "service", .failure_rate = 0.5, .window_calls = 100}));
}
BENCHMARK(breaker_window_calls_after_first)->UseManualTime();

void bulkhead_after_first(benchmark::State& state) {
  after_timeout(state, hf::bulkhead({.name = "service", .limit = 100, .queue = 100}));
}
BENCHMARK(bulkhead_after_first)->UseManualTime();

/// More than any loop can use; it is never refused.
void limiter_after_first(benchmark::State& state) {
  after_timeout(state, hf::rate_limiter({.name = "service", .permits = 100'000'000, .period = 1s}));
}
BENCHMARK(limiter_after_first)->UseManualTime();

/// A small store, mostly full: where a schedule begins is read from the precise clock.
void limiter_small_store_after_first(benchmark::State& state) {
  after_timeout(state, hf::rate_limiter({.permits = 1'000'000'000, .period = 1s, .burst = 10}));
}
BENCHMARK(limiter_small_store_after_first)->UseManualTime();

/// With a lock.
void limiter_sliding_window_after_first(benchmark::State& state) {
  after_timeout(state, hf::rate_limiter({.permits = 100'000'000,
                                         .period = 1s,
                                         .algorithm = hf::limiter_algorithm::sliding_window}));
}
BENCHMARK(limiter_sliding_window_after_first)->UseManualTime();

/// The policy that draws on the budget is there already.
void budget_after_first(benchmark::State& state) {
  const hf::retry_budget budget;
  compare(state, hf::pipeline().with(hf::retry{}),
          hf::pipeline().with(hf::retry{.budget = budget}));
}
BENCHMARK(budget_after_first)->UseManualTime();

void throttle_after_first(benchmark::State& state) { after_timeout(state, hf::throttle()); }
BENCHMARK(throttle_after_first)->UseManualTime();

}  // namespace
