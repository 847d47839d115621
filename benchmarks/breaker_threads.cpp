// SPDX-License-Identifier: BSL-1.0
// How does one breaker that several threads share scale?
#include <benchmark/benchmark.h>

#include <chrono>
#include <holdfast/policy/circuit_breaker.hpp>

#include "../tests/support/allocations.hpp"

using namespace std::chrono_literals;
namespace hf = holdfast;

namespace {

void healthy_calls(benchmark::State& state) {
  static const hf::circuit_breaker breaker({.name = "shared", .failure_rate = 0.5});
  auto& core = *breaker.core();
  const auto now = hf::clock::now();
  {  // a thread's first call finds its stripe
    hf::detail::breaker_permit permit;
    if (core.try_enter(permit, now)) core.leave(permit, hf::verdict::success, now);
  }
  const auto before = support::allocations();
  for (auto _ : state) {
    hf::detail::breaker_permit permit;
    benchmark::DoNotOptimize(core.try_enter(permit, now));
    core.leave(permit, hf::verdict::success, now);
  }
  const auto allocated = static_cast<double>(support::allocations() - before);
  state.SetItemsProcessed(state.iterations());
  // There is no call at all beneath: everything is added.
  state.counters["added_ns"] =
      benchmark::Counter(1e-9 * static_cast<double>(state.iterations()),
                         benchmark::Counter::kAvgThreadsRate | benchmark::Counter::kInvert);
  state.counters["allocs_per_op"] =
      benchmark::Counter(allocated / static_cast<double>(state.iterations()),
                         benchmark::Counter::kAvgThreads);
}

void breaker_1_thread(benchmark::State& state) { healthy_calls(state); }
BENCHMARK(breaker_1_thread)->Threads(1)->UseRealTime();

void breaker_2_threads(benchmark::State& state) { healthy_calls(state); }
BENCHMARK(breaker_2_threads)->Threads(2)->UseRealTime();

}  // namespace
