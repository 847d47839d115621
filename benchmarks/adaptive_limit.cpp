// SPDX-License-Identifier: BSL-1.0
// What does an adaptive limit add, to a call and to its refusal?
#include <chrono>

#include "calls.hpp"
#include "paired.hpp"

using namespace bench;
using namespace std::chrono_literals;

namespace {

void adaptive_limit(benchmark::State& state) {
  asio::io_context context{1};
  const auto pipeline = hf::pipeline().with(hf::adaptive_limit({.name = "service"}));
  paired(state, context, ready_call, [&pipeline] { return pipeline(ready_context_call); });
}
BENCHMARK(adaptive_limit)->UseManualTime();

/// After a timeout, as the first policy of a pipeline pays for what all of them share.
void timeout_and_adaptive_limit(benchmark::State& state) {
  asio::io_context context{1};
  const auto pipeline =
      hf::pipeline().with(hf::timeout{2s}).with(hf::adaptive_limit({.name = "service"}));
  paired(state, context, ready_call, [&pipeline] { return pipeline(ready_context_call); });
}
BENCHMARK(timeout_and_adaptive_limit)->UseManualTime();

void adaptive_limit_full_reject(benchmark::State& state) {
  asio::io_context context{1};
  const hf::adaptive_limit limit({.name = "service", .initial_limit = 1, .min_limit = 1});
  const auto pipeline = hf::pipeline().with(limit);
  static_cast<void>(limit.core()->try_enter());
  paired(state, context, ready_call, [&pipeline] { return pipeline(ready_context_call); });
  if (limit.refused() == 0) state.SkipWithError("nothing was refused");
  limit.core()->release();
}
BENCHMARK(adaptive_limit_full_reject)->UseManualTime();

}  // namespace
