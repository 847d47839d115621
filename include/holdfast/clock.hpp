// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_CLOCK_HPP
#define HOLDFAST_CLOCK_HPP

#include <chrono>

namespace holdfast {

/// The clock of every policy. Wall-clock jumps never reach a policy.
using clock = std::chrono::steady_clock;
using time_point = clock::time_point;
using duration = std::chrono::nanoseconds;

/// A deadline that never passes.
inline constexpr time_point never = time_point::max();

/// Adds without overflow: a sum past the end of time is `never`, one before its start is the start.
constexpr time_point saturating_add(time_point t, duration d) noexcept {
  if (d.count() >= 0) {
    return t > time_point::max() - d ? never : t + d;
  }
  return t < time_point::min() - d ? time_point::min() : t + d;
}

}  // namespace holdfast

#endif
