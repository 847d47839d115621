// SPDX-License-Identifier: BSL-1.0
// What does chaos add while it is off?
#include <chrono>

#include "calls.hpp"
#include "paired.hpp"

using namespace bench;
using namespace std::chrono_literals;

namespace {

void chaos_off(benchmark::State& state) {
  asio::io_context context{1};
  const auto pipeline = hf::pipeline().with(hf::chaos({.rules = {{.hang = true}}}));
  paired(state, context, ready_call, [&pipeline] { return pipeline(ready_context_call); });
}
BENCHMARK(chaos_off)->UseManualTime();

/// Inside a timeout, as the first policy of a pipeline pays for what all of them share.
void chaos_off_and_timeout(benchmark::State& state) {
  asio::io_context context{1};
  const auto pipeline =
      hf::pipeline().with(hf::chaos({.rules = {{.hang = true}}})).with(hf::timeout{2s});
  paired(state, context, ready_call, [&pipeline] { return pipeline(ready_context_call); });
}
BENCHMARK(chaos_off_and_timeout)->UseManualTime();

}  // namespace
