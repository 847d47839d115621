// SPDX-License-Identifier: BSL-1.0
// What does a kept answer cost, and what does a cache cost a call that passes it by?
#include <chrono>
#include <string>
#include <vector>

#include "calls.hpp"
#include "paired.hpp"

using namespace bench;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view question = "what is the capital of France?";

/// The bare counterpart is an empty pipeline: what is measured is what the cache adds to one.
template <class Pipeline>
void row(benchmark::State& state, const Pipeline& pipeline, std::string_view key) {
  asio::io_context context{1};
  const auto empty = hf::pipeline();
  paired(
      state, context, [&empty] { return empty(ready_context_call); },
      [&pipeline, key] { return pipeline(ready_context_call, {.cache_key = key}); });
}

void cache_passed_by(benchmark::State& state) {
  const hf::cache<int> cache;
  row(state, hf::pipeline().with(cache), {});
}
BENCHMARK(cache_passed_by)->UseManualTime();

void cache_hit(benchmark::State& state) {
  const hf::cache<int> cache({.ttl = 24h});
  row(state, hf::pipeline().with(cache), question);
}
BENCHMARK(cache_hit)->UseManualTime();

/// Without a time nothing is kept: every operation leads a flight.
void single_flight_leader(benchmark::State& state) {
  const hf::cache<int> cache({.ttl = 0s});
  row(state, hf::pipeline().with(cache), question);
}
BENCHMARK(single_flight_leader)->UseManualTime();

/// The table alone, from several threads.
void look_ups(benchmark::State& state) {
  static const auto shared = [] {
    auto c = std::make_unique<hf::detail::cache_core>(
        "shared", hf::detail::cache_rules{.max_entries = 10'000, .ttl = 24h});
    for (int i = 0; i < 1000; ++i) {
      c->put("key " + std::to_string(i),
             {.item = hf::detail::kept_ptr(
                  new hf::detail::kept_value<int>(i, hf::verdict::success))},
             hf::clock::now(), 0);
    }
    return c;
  }();
  std::vector<std::string> keys;
  for (int i = 0; i < 1000; ++i) keys.push_back("key " + std::to_string(i));
  const auto now = hf::clock::now();
  auto i = static_cast<std::size_t>(state.thread_index()) * 7;
  for (auto _ : state) {
    hf::detail::cache_answer answer;
    benchmark::DoNotOptimize(shared->ask(keys[(i += 13) % keys.size()], now, answer));
  }
  state.SetItemsProcessed(state.iterations());
}
void cache_look_up_1_thread(benchmark::State& state) { look_ups(state); }
BENCHMARK(cache_look_up_1_thread)->Threads(1)->UseRealTime();
void cache_look_up_2_threads(benchmark::State& state) { look_ups(state); }
BENCHMARK(cache_look_up_2_threads)->Threads(2)->UseRealTime();

}  // namespace
