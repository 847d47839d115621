// SPDX-License-Identifier: BSL-1.0
// What does a policy add to a call that goes well?
#include <chrono>

#include "calls.hpp"
#include "paired.hpp"

using namespace bench;
using namespace std::chrono_literals;

namespace {

hf::circuit_breaker make_breaker() {
  return hf::circuit_breaker({.name = "service", .failure_rate = 0.5, .window = 10s});
}

auto five_policies(const hf::circuit_breaker& breaker, const hf::bulkhead& bulkhead) {
  return hf::pipeline()
      .with(hf::timeout{2s})
      .with(bulkhead)
      .with(breaker)
      .with(hf::retry{.max_attempts = 3})
      .fallback(0);
}

/// A row on a context that one thread runs.
template <class Pipeline, class Call, class Bare>
void row(benchmark::State& state, const Pipeline& pipeline, Call call, Bare bare) {
  asio::io_context context{1};
  paired(state, context, bare, [&pipeline, call] { return pipeline(call); });
}

void empty(benchmark::State& state) {
  row(state, hf::pipeline(), ready_context_call, ready_call);
}
BENCHMARK(empty)->UseManualTime();

void timeout(benchmark::State& state) {
  row(state, hf::pipeline().with(hf::timeout{2s}), ready_context_call, ready_call);
}
BENCHMARK(timeout)->UseManualTime();

void retry(benchmark::State& state) {
  row(state, hf::pipeline().with(hf::retry{.max_attempts = 3}), ready_context_call, ready_call);
}
BENCHMARK(retry)->UseManualTime();

void circuit_breaker(benchmark::State& state) {
  row(state, hf::pipeline().with(make_breaker()), ready_context_call, ready_call);
}
BENCHMARK(circuit_breaker)->UseManualTime();

void bulkhead(benchmark::State& state) {
  row(state, hf::pipeline().with(hf::bulkhead({.name = "service", .limit = 10})),
      ready_context_call, ready_call);
}
BENCHMARK(bulkhead)->UseManualTime();

void fallback(benchmark::State& state) {
  row(state, hf::pipeline().fallback(0), ready_context_call, ready_call);
}
BENCHMARK(fallback)->UseManualTime();

void five_ready(benchmark::State& state) {
  row(state, five_policies(make_breaker(), hf::bulkhead()), ready_context_call, ready_call);
}
BENCHMARK(five_ready)->UseManualTime();

void five_context(benchmark::State& state) {
  row(state, five_policies(make_breaker(), hf::bulkhead()), context_call, opaque_call);
}
BENCHMARK(five_context)->UseManualTime();

void five_opaque(benchmark::State& state) {
  row(state, five_policies(make_breaker(), hf::bulkhead()), opaque_call, opaque_call);
}
BENCHMARK(five_opaque)->UseManualTime();

// The rows with a suffix are of five_context and five_opaque on another executor, which the rows of
// asio_timeouts.cpp with the same suffix use as well.

template <class Call>
void five_on_strand(benchmark::State& state, Call call) {
  asio::io_context context;
  const auto pipeline = five_policies(make_breaker(), hf::bulkhead());
  paired_on(state, context, asio::make_strand(context), 1, opaque_call,
            [&pipeline, call] { return pipeline(call); });
}

void five_context_strand(benchmark::State& state) { five_on_strand(state, context_call); }
BENCHMARK(five_context_strand)->UseManualTime();

void five_opaque_strand(benchmark::State& state) { five_on_strand(state, opaque_call); }
BENCHMARK(five_opaque_strand)->UseManualTime();

/// A context without a hint: nothing is known to serialise what runs on it, on however many threads.
template <class Call>
void five_on_threads(benchmark::State& state, int threads, Call call) {
  asio::io_context context;
  const auto pipeline = five_policies(make_breaker(), hf::bulkhead());
  paired_on(state, context, context.get_executor(), threads, opaque_call,
            [&pipeline, call] { return pipeline(call); });
}

void five_context_threads(benchmark::State& state) { five_on_threads(state, 1, context_call); }
BENCHMARK(five_context_threads)->UseManualTime();

void five_opaque_threads(benchmark::State& state) { five_on_threads(state, 1, opaque_call); }
BENCHMARK(five_opaque_threads)->UseManualTime();

void five_context_four_threads(benchmark::State& state) {
  five_on_threads(state, 4, context_call);
}
BENCHMARK(five_context_four_threads)->UseManualTime();

void five_opaque_four_threads(benchmark::State& state) { five_on_threads(state, 4, opaque_call); }
BENCHMARK(five_opaque_four_threads)->UseManualTime();

}  // namespace
