// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_CIRCUIT_BREAKER_OPTIONS_HPP
#define HOLDFAST_POLICY_CIRCUIT_BREAKER_OPTIONS_HPP

#include <cstdint>
#include <holdfast/clock.hpp>
#include <string>
#include <string_view>

namespace holdfast {

struct circuit_breaker_options {
  /// Appears in failures, events and `describe()`. May be empty.
  std::string name = {};

  /// Opens after this many bad calls in a row. Zero: this rule is off.
  unsigned consecutive_failures = 5;

  /// Opens when bad calls reach this share of all calls in the window, once there are
  /// `minimum_calls`. Between 0 and 1; zero: this rule is off. At least one of the rules is on.
  double failure_rate = 0.0;

  /// What the rate is taken over. At least ten nanoseconds; its resolution is a tenth of it.
  duration window = std::chrono::seconds(10);

  /// The rate is not judged below this many calls in the window. At least 1.
  unsigned minimum_calls = 20;

  /// How long the circuit stays open before it is tried. More than zero.
  duration open_for = std::chrono::seconds(30);

  /// How many calls a half-open circuit lets through at a time. 1 to 10,000.
  unsigned half_open_probes = 1;

  /// How many good calls in a row close a half-open circuit. At least 1.
  unsigned successes_to_close = 1;

  /// A probe that has not ended after this time loses its place to a new one, and its result no
  /// longer counts. More than zero.
  duration probe_lease = std::chrono::seconds(60);
};

enum class breaker_state : std::uint8_t { closed, open, half_open, isolated };

/// Why a circuit changed its state.
enum class breaker_cause : std::uint8_t {
  consecutive_failures,  ///< closed -> open
  failure_rate,          ///< closed -> open
  open_time_over,        ///< open -> half_open
  probe_failed,          ///< half_open -> open
  probes_succeeded,      ///< half_open -> closed
  isolated_by_hand,      ///< any -> isolated
  reset_by_hand,         ///< any -> closed
};

std::string_view to_string(breaker_state s) noexcept;
std::string_view to_string(breaker_cause c) noexcept;

/// One change of state.
struct breaker_transition {
  std::string name;
  breaker_state from;
  breaker_state to;
  breaker_cause cause;
  time_point at;
  /// Counts the changes of state of this breaker, from 1.
  std::uint64_t generation;
};

struct breaker_snapshot {
  breaker_state state;
  std::uint64_t generation;        ///< Changes of state so far.
  unsigned consecutive_failures;
  std::uint64_t calls_in_window;   ///< Zero where the rate rule is off.
  std::uint64_t bad_in_window;
  duration remaining_open;
  unsigned probes_in_flight;
  unsigned probe_successes;
  std::uint64_t refused;           ///< Calls refused since construction.
  std::uint64_t listener_errors;   ///< Exceptions thrown by listeners.
};

}  // namespace holdfast

#endif
