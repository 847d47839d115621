// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_ADAPTIVE_LIMIT_OPTIONS_HPP
#define HOLDFAST_POLICY_ADAPTIVE_LIMIT_OPTIONS_HPP

#include <cstdint>
#include <holdfast/clock.hpp>
#include <string>
#include <string_view>

namespace holdfast {

/// How an adaptive limit learns from its samples.
enum class limit_algorithm : std::uint8_t {
  gradient,  ///< By the ratio of the idle latency to the current one. The default.
  vegas,     ///< By the length of the queue that the two latencies imply.
  aimd,      ///< Up by a step, down by a factor where calls are dropped or too slow.
};

struct adaptive_limit_options {
  /// Appears in failures and `describe()`. May be empty.
  std::string name = {};

  limit_algorithm algorithm = limit_algorithm::gradient;

  /// The limit before anything is known. Between `min_limit` and `max_limit`.
  unsigned initial_limit = 20;

  /// The limit never falls below this. At least 1.
  unsigned min_limit = 3;

  /// The limit never grows above this. At least `min_limit`, at most 1,000,000.
  unsigned max_limit = 1000;

  /// How often the limit is adjusted. A window is longer where calls take long, up to three times
  /// their latency and at most a minute, and where traffic is thin. At least one millisecond.
  duration window = std::chrono::seconds(1);

  /// A window is judged once it holds this many samples. At least 1, at most 100.
  unsigned min_samples = 10;

  /// Which quantile of a window's latencies stands for the window. More than 0, less than 1.
  double quantile = 0.5;

  /// Gradient: how much slower than idle calls may become before the limit is lowered. 1 to 10.
  double tolerance = 1.5;

  /// Gradient: how much of each correction is made at once. More than 0, at most 1.
  double smoothing = 0.3;

  /// Gradient and Vegas: how often the idle latency is measured anew while the limit binds, at 0.4
  /// of the limit for a window. Jittered by half of it either way, so that the clients of a service
  /// do not do it together. At least `window`.
  duration measure_idle_every = std::chrono::seconds(30);

  /// AIMD: what the limit is multiplied by where calls are dropped or too slow. 0.5 to 0.99.
  double backoff = 0.9;

  /// AIMD: what is added to the limit otherwise, for each window. At least 1, at most 1000.
  unsigned increase = 1;

  /// AIMD: a window whose latency is above this counts as overload. At least zero; zero: only
  /// dropped calls count.
  duration slow_after = duration::zero();
};

/// What an adaptive limit knows, for dashboards.
struct adaptive_limit_snapshot {
  unsigned limit;             ///< In force now.
  unsigned in_flight;
  bool measuring_idle;        ///< The limit is lowered to learn the idle latency.
  duration idle_latency;      ///< Zero where it is not known, or not used.
  duration latency;           ///< Of the last window; zero before the first.
  std::uint64_t windows;      ///< Windows judged so far.
  std::uint64_t idle_measurements;
  std::uint64_t refused;      ///< Calls refused since construction.
  std::uint64_t dropped;      ///< Calls that ended as overloaded or timed out.
  std::uint64_t listener_errors;  ///< Exceptions thrown by listeners.
};

/// One change of an adaptive limit.
struct limit_change {
  std::string name;
  unsigned from;
  unsigned to;
  duration latency;       ///< Of the window that led to it.
  duration idle_latency;  ///< Zero where it is not known, or not used.
  bool measuring_idle;    ///< The new limit is that of a measurement.
  time_point at;
};

/// Names the enumerator. Unknown values give `unknown`.
std::string_view to_string(limit_algorithm a) noexcept;

}  // namespace holdfast

#endif
