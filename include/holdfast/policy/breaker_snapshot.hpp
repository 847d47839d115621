// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_BREAKER_SNAPSHOT_HPP
#define HOLDFAST_POLICY_BREAKER_SNAPSHOT_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <holdfast/clock.hpp>
#include <string>
#include <string_view>

namespace holdfast {

enum class breaker_state : std::uint8_t {
  closed,        ///< Admits every call and counts.
  open,          ///< Refuses every call, for a time.
  half_open,     ///< Admits a few calls as probes.
  isolated,      ///< Refuses every call until `reset`.
  recovering,    ///< Admits a share of the calls, step by step.
  disabled,      ///< Admits every call and counts nothing, until `reset`.
  metrics_only,  ///< Admits every call and counts, but never opens, until `reset`.
};
inline constexpr std::size_t breaker_states = 7;

/// Why a circuit changed its state.
enum class breaker_cause : std::uint8_t {
  consecutive_failures,  ///< closed -> open
  failure_rate,          ///< closed -> open
  slow_rate,             ///< closed -> open
  predicate,             ///< closed -> open: `opens_if` returned true
  open_time_over,        ///< open -> half_open
  probe_failed,          ///< half_open -> open
  probes_succeeded,      ///< half_open -> closed or recovering
  step_passed,           ///< recovering -> recovering or closed
  step_failed,           ///< recovering -> recovering or open
  isolated_by_hand,      ///< any -> isolated
  disabled_by_hand,      ///< any -> disabled
  observed_by_hand,      ///< any -> metrics_only
  reset_by_hand,         ///< any -> closed
};

std::string_view to_string(breaker_state s) noexcept;
std::string_view to_string(breaker_cause c) noexcept;

/// One change of state, or of the step while recovering.
struct breaker_transition {
  std::string name;
  breaker_state from;
  breaker_state to;
  breaker_cause cause;
  time_point at;
  /// Counts the changes of state of this breaker, from 1.
  std::uint64_t generation;
  /// The share of the calls that is admitted from now on, between 0 and 1; 0 while half-open.
  double share = 0.0;
};

/// What the window of a breaker holds, as its rules see it.
struct breaker_window {
  std::uint64_t calls = 0;    ///< Good and bad calls, and those that hang.
  std::uint64_t failed = 0;   ///< `failure` and `overloaded`.
  std::uint64_t slow = 0;     ///< Slow calls, failed or not, and those that hang.
  std::uint64_t bad = 0;      ///< Failed or slow.
  std::uint64_t hanging = 0;  ///< In flight for longer than `slow_after`.
  unsigned consecutive_failures = 0;
};

struct breaker_snapshot {
  breaker_state state;
  std::uint64_t generation;        ///< Changes of state so far.
  unsigned consecutive_failures;
  std::uint64_t calls_in_window;   ///< Zero where no rule needs the window.
  std::uint64_t bad_in_window;     ///< Failed or slow.
  std::uint64_t failed_in_window;
  std::uint64_t slow_in_window;    ///< Failed or not.
  std::uint64_t hanging;           ///< In flight for longer than `slow_after`; in the window too.
  duration remaining_open;
  unsigned probes_in_flight;
  unsigned probe_successes;
  unsigned recovery_step;          ///< From 1, while recovering; otherwise 0.
  double share;                    ///< Of the calls that is admitted; 0 while half-open.
  std::uint64_t refused;           ///< Calls refused since construction.
  std::uint64_t listener_errors;   ///< Exceptions thrown by listeners and by `opens_if`.

  duration in_this_state;          ///< Since the last change of state.
  /// How long it has been in each state, this one included, by `breaker_state`.
  std::array<duration, breaker_states> time_in_state;
  /// How often it has become half-open within the last hour, to a minute: many times a day means a
  /// service that does not really recover.
  unsigned half_open_last_hour;

  duration time_in(breaker_state s) const noexcept {
    return time_in_state[static_cast<std::size_t>(s)];
  }
};

}  // namespace holdfast

#endif
