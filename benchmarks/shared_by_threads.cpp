// SPDX-License-Identifier: BSL-1.0
// What does a policy cost by itself, and how does one scale that several threads share?
#include <benchmark/benchmark.h>

#include <holdfast/policy/circuit_breaker.hpp>
#include <holdfast/policy/rate_limiter.hpp>
#include <holdfast/policy/retry_budget.hpp>
#include <holdfast/policy/throttle.hpp>

#include "../tests/support/allocations.hpp"

namespace {

namespace hf = holdfast;

/// Runs `call(now)` on each thread, with nothing beneath: everything is added.
template <class Call>
void alone(benchmark::State& state, Call call) {
  const auto now = hf::clock::now();
  call(now);  // a thread's first call finds its stripe
  const auto before = support::allocations();
  for (auto _ : state) call(now);
  const auto allocated = static_cast<double>(support::allocations() - before);
  state.SetItemsProcessed(state.iterations());
  state.counters["added_ns"] =
      benchmark::Counter(1e-9 * static_cast<double>(state.iterations()),
                         benchmark::Counter::kAvgThreadsRate | benchmark::Counter::kInvert);
  state.counters["allocs_per_op"] =
      benchmark::Counter(allocated / static_cast<double>(state.iterations()),
                         benchmark::Counter::kAvgThreads);
}

void use(benchmark::State& state, const hf::circuit_breaker& breaker) {
  auto& core = *breaker.core();
  alone(state, [&core](hf::time_point now) {
    hf::detail::breaker_permit permit;
    benchmark::DoNotOptimize(core.try_enter(permit, now));
    core.leave(permit, hf::verdict::success, now);
  });
}
const hf::circuit_breaker& shared_breaker() {
  static const hf::circuit_breaker breaker({.name = "shared", .failure_rate = 0.5});
  return breaker;
}
void breaker_1_thread(benchmark::State& state) { use(state, shared_breaker()); }
BENCHMARK(breaker_1_thread)->Threads(1)->UseRealTime();
void breaker_2_threads(benchmark::State& state) { use(state, shared_breaker()); }
BENCHMARK(breaker_2_threads)->Threads(2)->UseRealTime();
/// A breaker for each thread: as much as two threads of this machine can do.
void breaker_apart_2_threads(benchmark::State& state) {
  use(state, hf::circuit_breaker({.name = "apart", .failure_rate = 0.5}));
}
BENCHMARK(breaker_apart_2_threads)->Threads(2)->UseRealTime();

/// Exact, so the threads take turns.
void one_limiter(benchmark::State& state) {
  static const hf::rate_limiter limiter({.permits = 100'000'000});
  auto& core = *limiter.core();
  alone(state, [&core](hf::time_point now) {
    benchmark::DoNotOptimize(core.take(core.plan(), 1, now, hf::duration(0)));
  });
}
void limiter_1_thread(benchmark::State& state) { one_limiter(state); }
BENCHMARK(limiter_1_thread)->Threads(1)->UseRealTime();
void limiter_2_threads(benchmark::State& state) { one_limiter(state); }
BENCHMARK(limiter_2_threads)->Threads(2)->UseRealTime();

void use(benchmark::State& state, const hf::retry_budget& budget) {
  auto& core = *budget.core();
  alone(state, [&core](hf::time_point now) {
    core.on_call(now);
    core.on_success();
  });
}
const hf::retry_budget& shared_budget() {
  static const hf::retry_budget budget;
  return budget;
}
void budget_1_thread(benchmark::State& state) { use(state, shared_budget()); }
BENCHMARK(budget_1_thread)->Threads(1)->UseRealTime();
void budget_2_threads(benchmark::State& state) { use(state, shared_budget()); }
BENCHMARK(budget_2_threads)->Threads(2)->UseRealTime();
/// A budget for each thread: as much as two threads of this machine can do.
void budget_apart_2_threads(benchmark::State& state) { use(state, hf::retry_budget()); }
BENCHMARK(budget_apart_2_threads)->Threads(2)->UseRealTime();

const hf::retry_budget& shared_tokens() {
  static const hf::retry_budget budget({.mode = hf::budget_mode::tokens});
  return budget;
}
void budget_tokens_1_thread(benchmark::State& state) { use(state, shared_tokens()); }
BENCHMARK(budget_tokens_1_thread)->Threads(1)->UseRealTime();
void budget_tokens_2_threads(benchmark::State& state) { use(state, shared_tokens()); }
BENCHMARK(budget_tokens_2_threads)->Threads(2)->UseRealTime();

void one_throttle(benchmark::State& state) {
  static const hf::throttle throttle;
  auto& core = *throttle.core();
  alone(state, [&core](hf::time_point now) {
    benchmark::DoNotOptimize(core.try_enter(now, [] { return std::uint64_t{0}; }));
    core.leave(hf::verdict::success);
  });
}
void throttle_1_thread(benchmark::State& state) { one_throttle(state); }
BENCHMARK(throttle_1_thread)->Threads(1)->UseRealTime();
void throttle_2_threads(benchmark::State& state) { one_throttle(state); }
BENCHMARK(throttle_2_threads)->Threads(2)->UseRealTime();

/// A wish for a retry, of a budget that has enough.
void budget_reserve(benchmark::State& state) {
  static const hf::retry_budget budget({.ratio = 1000});
  auto& core = *budget.core();
  alone(state, [&core](hf::time_point now) {
    core.on_call(now);
    benchmark::DoNotOptimize(core.try_reserve(now));
  });
}
BENCHMARK(budget_reserve)->UseRealTime();

}  // namespace
