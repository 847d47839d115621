// SPDX-License-Identifier: BSL-1.0
#include <benchmark/benchmark.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "table.hpp"

namespace {

bool given(int argc, char** argv, std::string_view flag) {
  return std::any_of(argv + 1, argv + argc,
                     [flag](const char* a) { return std::string_view(a).starts_with(flag); });
}

}  // namespace

/// Google Benchmark with our defaults: short repetitions, interleaved, of which the median counts.
/// Prints one table at the end; --table: the README's; --benchmark_format: what Google Benchmark
/// prints.
int main(int argc, char** argv) {
  std::vector<char*> arguments(argv, argv + argc);
  const bool for_readme =
      std::erase_if(arguments, [](const char* a) { return std::string_view(a) == "--table"; }) > 0;
  static char repetitions[] = "--benchmark_repetitions=9";
  static char min_time[] = "--benchmark_min_time=0.1";
  static char interleaved[] = "--benchmark_enable_random_interleaving=true";
  static char aggregates[] = "--benchmark_display_aggregates_only=true";
  if (!given(argc, argv, "--benchmark_repetitions")) arguments.push_back(repetitions);
  if (!given(argc, argv, "--benchmark_min_time")) arguments.push_back(min_time);
  if (!given(argc, argv, "--benchmark_enable_random_interleaving"))
    arguments.push_back(interleaved);
  const bool raw = given(argc, argv, "--benchmark_format");
  if (raw) arguments.push_back(aggregates);
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 1;
  bench::table table(for_readme ? bench::table::form::readme : bench::table::form::terminal);
  if (raw) {
    benchmark::RunSpecifiedBenchmarks();
  } else {
    benchmark::RunSpecifiedBenchmarks(&table);
  }
  benchmark::Shutdown();
  return table.has_failed() ? 1 : 0;
}
