// SPDX-License-Identifier: BSL-1.0
// What does a circuit breaker of a keyed family cost by itself, and how large is it?
#include <benchmark/benchmark.h>

#include <holdfast/clock.hpp>
#include <holdfast/detail/breaker_cell.hpp>

namespace {

namespace hf = holdfast;

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
