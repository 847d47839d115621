// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_LOAD_SHEDDER_OPTIONS_HPP
#define HOLDFAST_POLICY_LOAD_SHEDDER_OPTIONS_HPP

#include <array>
#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/priority.hpp>
#include <string>
#include <string_view>

namespace holdfast {

/// What overload is seen by.
enum class overload_signal : std::uint8_t {
  /// How long operations wait in the queues below (a bulkhead's). The better one: it says nothing
  /// of how long the service takes for a call, only whether it keeps up.
  queue_time,
  /// How long everything below takes. For where nothing below queues.
  latency,
};

std::string_view to_string(overload_signal s) noexcept;

/// Defaults as in Zhou et al., "Overload Control for Scaling WeChat Microservices", SoCC 2018
/// (DAGOR).
struct load_shedder_options {
  /// Appears in failures and `describe()`. May be empty.
  std::string name = {};

  /// What overload is seen by.
  overload_signal signal = overload_signal::queue_time;

  /// Overloaded, where the mean of the signal over a window is above it. Between a microsecond and
  /// 60 s. For `overload_signal::latency` set it well above what a call takes in good times.
  duration threshold = std::chrono::milliseconds(20);

  /// How often that is judged: after this time, or after `window_calls` if that is sooner. At least
  /// a millisecond.
  duration window = std::chrono::seconds(1);

  /// How many calls end a window early. 1 to 50,000.
  unsigned window_calls = 2000;

  /// With fewer calls in a window it is not called overloaded. Zero is as one.
  unsigned minimum_calls = 20;

  /// By how much of the calls admitted fewer are admitted in the next window after one of overload.
  /// More than 0, at most 1.
  double decrease = 0.05;

  /// By how much of the calls that arrived more are admitted in the next window after any other.
  /// More than 0, at most 1.
  double increase = 0.01;

  /// How many calls may be in flight below where each tenant is to have its fair share of them; see
  /// `tenant_burst`. Zero: all tenants are served as they come.
  unsigned capacity = 0;

  /// A tenant may hold this many times as many calls as the capacity has left. A tenant that is
  /// alone can hold `burst / (burst + 1)` of the capacity, each of n that want more than they can
  /// get `burst / (n * burst + 1)`; what is left over lets others in at once. 1 to 1000. (Choudhury
  /// and Hahne: "Dynamic queue length thresholds for shared-memory packet switches", 1998.)
  unsigned tenant_burst = 4;

  /// How often the order in which sessions are shed changes, so that it is not always the same
  /// ones. At least a second.
  duration rotate_every = std::chrono::hours(1);
};

/// A load shedder at one instant.
struct load_shedder_snapshot {
  bool overloaded;                ///< In the window before.
  duration mean;                  ///< Of the signal, in the window before.
  double admitted;  ///< The share of the arrivals of the window before that would pass now.
  std::uint64_t windows;          ///< Judged since construction.
  std::uint64_t overloaded_windows;
  std::uint64_t shed;             ///< Calls shed since construction, both reasons.
  std::array<std::uint64_t, priority_count>
      shed_by_priority;           ///< Shed as less important, by class.
  std::uint64_t shed_over_share;  ///< Shed because their tenant held its fair share.
  unsigned in_flight;             ///< Counted only where `capacity` is set.
};

}  // namespace holdfast

#endif
