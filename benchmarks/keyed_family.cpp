// SPDX-License-Identifier: BSL-1.0
// What do a million breakers of one family take, and how long is one looked for?
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <malloc.h>

#include <chrono>
#include <holdfast/detail/breaker_family_core.hpp>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace {

namespace hf = holdfast;

std::uint64_t heap_bytes() {
  const auto info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

/// Made once for all repetitions.
struct population {
  static constexpr std::size_t keys = 1'000'000;

  population() {
    for (std::size_t i = 0; i < keys; ++i) names.push_back(fmt::format("tenant-{}", i));
    const std::uint64_t before = heap_bytes();
    family.emplace(hf::breaker_family_options{.breaker = {.failure_rate = 0.5}, .max_keys = keys});
    for (const auto& name : names) family->core()->use(name, now)->release();
    bytes = heap_bytes() - before;
  }

  const hf::time_point now = hf::clock::now();
  std::vector<std::string> names;
  std::optional<hf::breaker_family> family;
  std::uint64_t bytes = 0;
};

void keyed_family_1m(benchmark::State& state) {
  static const population all;
  std::mt19937_64 random(1);
  std::vector<std::string> order(1 << 18);  // copies: the caller has just made its key
  for (auto& o : order) o = all.names[random() % population::keys];
  auto& core = *all.family->core();

  std::size_t i = 0;
  const auto began = std::chrono::steady_clock::now();
  for (auto _ : state) {
    auto* e = core.use(order[i++ & (order.size() - 1)], all.now);
    benchmark::DoNotOptimize(e);
    e->release();
  }
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - began;
  state.counters["bytes"] = static_cast<double>(all.bytes);
  state.counters["find_ns"] = took.count() / static_cast<double>(i);
}
BENCHMARK(keyed_family_1m);

}  // namespace
