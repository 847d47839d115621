// SPDX-License-Identifier: BSL-1.0
// What does a rate limiter add, and what does a refusal by one cost?
#include <chrono>

#include "calls.hpp"
#include "paired.hpp"

using namespace bench;
using namespace std::chrono_literals;

namespace {

template <class Pipeline>
void row(benchmark::State& state, const Pipeline& pipeline) {
  asio::io_context context{1};
  paired(state, context, ready_call, [&pipeline] { return pipeline(ready_context_call); });
}

/// More than any loop can use; it is never refused.
hf::rate_limiter generous() {
  return hf::rate_limiter({.name = "service", .permits = 100'000'000, .period = 1s});
}

void rate_limiter(benchmark::State& state) { row(state, hf::pipeline().with(generous())); }
BENCHMARK(rate_limiter)->UseManualTime();

void rate_limited_reject(benchmark::State& state) {
  const hf::rate_limiter limiter({.name = "service", .permits = 1, .period = 1h});
  static_cast<void>(limiter.core()->book(1, hf::clock::now(), hf::never));
  row(state, hf::pipeline().with(limiter));
  if (limiter.refused() == 0) state.SkipWithError("nothing was refused");
}
BENCHMARK(rate_limited_reject)->UseManualTime();

}  // namespace
