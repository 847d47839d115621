// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_LIMITER_PLAN_HPP
#define HOLDFAST_DETAIL_LIMITER_PLAN_HPP

#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/policy/rate_limiter_options.hpp>

namespace holdfast::detail {

/// The options of a rate limiter, worked out. Immutable: a reconfiguration makes a new one.
///
/// Schedules are kept in ticks of 1/63 ns. The interval between two permits is then a whole number
/// of ticks for every rate of one significant digit, whatever the powers of ten, and for many more;
/// for any other it is rounded up, so that no rounding ever lets a permit in early, and each comes
/// less than a tick late.
struct limiter_plan {
  static constexpr std::int64_t ticks_per_ns = 63;
  static constexpr duration longest = std::chrono::days(365);

  /// How far two readings of the clock, by two threads, may be apart without anybody minding.
  static constexpr duration slack = std::chrono::seconds(1);

  /// Throws `invalid_options` that lists every option out of range.
  explicit limiter_plan(rate_limiter_options o);

  /// The same for one that takes over from another, whose bookings may be further ahead than its
  /// own.
  limiter_plan(rate_limiter_options o, const limiter_plan& previous);

  rate_limiter_options options;
  std::int64_t interval;      // ticks between two permits
  std::int64_t depth;         // ticks that the whole burst is worth
  std::int64_t furthest;      // ticks; a schedule that is more than so far ahead is an error
  std::uint32_t most_units;   // what one call may take; 0 where the schedule is not in use
  bool guess_start;           // whether the coarse clock is good enough to begin a schedule with
};

/// What became of a wish for permits.
struct booking {
  enum class kind : std::uint8_t { admitted, later, refused };
  kind what = kind::refused;
  /// From when the permits may be used; where refused, when they could have been had, or `never`.
  time_point at = never;
  /// Where they stand in the schedule, or when in the log.
  std::int64_t mark = 0;
};

}  // namespace holdfast::detail

#endif
