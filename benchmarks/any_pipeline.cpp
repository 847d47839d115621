// SPDX-License-Identifier: BSL-1.0
// What does an any_pipeline add to the pipeline in it? Here the bare call goes through that.
#include <holdfast/any_pipeline.hpp>
#include <string>

#include "calls.hpp"
#include "paired.hpp"

using namespace bench;
using namespace std::chrono_literals;

namespace {

template <class Call>
void through_any(benchmark::State& state, Call call) {
  asio::io_context context{1};
  const hf::circuit_breaker breaker({.failure_rate = 0.5, .window = 10s});
  const auto pipeline = hf::pipeline()
                            .with(hf::timeout{2s})
                            .with(breaker)
                            .with(hf::retry{.max_attempts = 3})
                            .fallback(0);
  const hf::any_pipeline<int> any = pipeline;
  paired(state, context, [&pipeline, call] { return pipeline(call); },
         [&any, call] { return any(call); });
}

void any_pipeline_ready(benchmark::State& state) { through_any(state, ready_context_call); }
BENCHMARK(any_pipeline_ready)->UseManualTime();

void any_pipeline_context(benchmark::State& state) { through_any(state, context_call); }
BENCHMARK(any_pipeline_context)->UseManualTime();

void any_pipeline_opaque(benchmark::State& state) { through_any(state, opaque_call); }
BENCHMARK(any_pipeline_opaque)->UseManualTime();

/// A call that does not fit in place.
void any_pipeline_large_call(benchmark::State& state) {
  through_any(state, [text = std::string(1000, 'x'), more = std::string()](
                         hf::call_context&) -> asio::awaitable<int> {
    co_return static_cast<int>(text.size() + more.size());
  });
}
BENCHMARK(any_pipeline_large_call)->UseManualTime();

}  // namespace
