// SPDX-License-Identifier: BSL-1.0
// What does a circuit breaker add to a pipeline that has a policy already, and in its other forms?
#include <chrono>
#include <holdfast/detail/breaker_cell.hpp>

#include "calls.hpp"
#include "paired.hpp"

using namespace bench;
using namespace std::chrono_literals;

namespace {

void after_first(benchmark::State& state, hf::circuit_breaker_options o) {
  asio::io_context context{1};
  const auto first = hf::pipeline().with(hf::timeout{2s});
  const auto both = hf::pipeline().with(hf::timeout{2s}).with(hf::circuit_breaker(std::move(o)));
  paired(
      state, context, [&first] { return first(ready_context_call); },
      [&both] { return both(ready_context_call); });
}

void breaker_after_first(benchmark::State& state) {
  after_first(state, {.name = "service", .failure_rate = 0.5});
}
BENCHMARK(breaker_after_first)->UseManualTime();

void breaker_slow_after_after_first(benchmark::State& state) {
  after_first(state, {.name = "service", .failure_rate = 0.5, .slow_after = 1s});
}
BENCHMARK(breaker_slow_after_after_first)->UseManualTime();

void breaker_window_calls_after_first(benchmark::State& state) {
  after_first(state, {.name = "service", .failure_rate = 0.5, .window_calls = 100});
}
BENCHMARK(breaker_window_calls_after_first)->UseManualTime();

/// A breaker of a keyed family, alone: no pipeline, no look-up of its key.
void breaker_cell(benchmark::State& state) {
  hf::detail::breaker_rules rules({.failure_rate = 0.5}, hf::detail::breaker_size::compact);
  hf::detail::breaker_cell cell(rules);
  const auto now = hf::clock::now();
  for (auto _ : state) {
    hf::detail::breaker_permit permit;
    benchmark::DoNotOptimize(cell.try_enter(permit, now));
    cell.leave(permit, hf::verdict::success, now);
  }
  state.counters["bytes"] = sizeof(cell);
}
BENCHMARK(breaker_cell);

}  // namespace
