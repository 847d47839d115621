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
void row(benchmark::State& state, const Pipeline& pipeline, Call call, Bare bare, int hint = 1) {
  asio::io_context context{hint};
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

// The executor is not known to be serial: what a timeout may cancel runs on a strand of its own.
constexpr int any_number_of_threads = BOOST_ASIO_CONCURRENCY_HINT_DEFAULT;

void five_context_threads(benchmark::State& state) {
  row(state, five_policies(make_breaker(), hf::bulkhead()), context_call, opaque_call,
      any_number_of_threads);
}
BENCHMARK(five_context_threads)->UseManualTime();

void five_opaque_threads(benchmark::State& state) {
  row(state, five_policies(make_breaker(), hf::bulkhead()), opaque_call, opaque_call,
      any_number_of_threads);
}
BENCHMARK(five_opaque_threads)->UseManualTime();

}  // namespace
