// SPDX-License-Identifier: BSL-1.0
//
// The users: a load generator that runs in a process of its own.
#pragma once

#include <chrono>
#include <cstdint>

namespace demo {

/// Nobody waits longer than this for an answer.
inline constexpr std::chrono::seconds patience{5};

struct load_options {
  std::uint16_t port = 0;
  int seconds = 40;
  double asks_per_second = 200;
  double histories_per_second = 100;
  std::uint64_t seed = 1;
};

/// Sends the load to the service on that port and writes a line of load_stats to standard output
/// every second, the totals last. Returns the exit code.
///
/// Requests come when they come, at random times of the given mean rate, however slow the service
/// is; and latency counts from the moment a request was due. A generator that waited for answers
/// before it asks again would be merciful just when it must not be.
int run_load(const load_options& options);

}  // namespace demo
