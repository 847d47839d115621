// SPDX-License-Identifier: BSL-1.0
#include <benchmark/benchmark.h>

#include <algorithm>
#include <string_view>
#include <vector>

namespace {

bool given(int argc, char** argv, std::string_view flag) {
  return std::any_of(argv + 1, argv + argc,
                     [flag](const char* a) { return std::string_view(a).starts_with(flag); });
}

}  // namespace

/// Google Benchmark with our defaults: short repetitions, interleaved, of which the median counts.
int main(int argc, char** argv) {
  std::vector<char*> arguments(argv, argv + argc);
  static char repetitions[] = "--benchmark_repetitions=9";
  static char min_time[] = "--benchmark_min_time=0.1";
  static char interleaved[] = "--benchmark_enable_random_interleaving=true";
  static char aggregates[] = "--benchmark_report_aggregates_only=true";
  if (!given(argc, argv, "--benchmark_repetitions")) arguments.push_back(repetitions);
  if (!given(argc, argv, "--benchmark_min_time")) arguments.push_back(min_time);
  if (!given(argc, argv, "--benchmark_enable_random_interleaving"))
    arguments.push_back(interleaved);
  if (!given(argc, argv, "--benchmark_report_aggregates_only")) arguments.push_back(aggregates);
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
