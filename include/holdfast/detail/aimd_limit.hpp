// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_AIMD_LIMIT_HPP
#define HOLDFAST_DETAIL_AIMD_LIMIT_HPP

#include <holdfast/detail/limit_window.hpp>

namespace holdfast::detail {

/// Additive increase, multiplicative decrease. It knows no idle latency: overload is a dropped call
/// or, where a bound is given, a latency above it.
///
/// Source: D.-M. Chiu, R. Jain, "Analysis of the Increase and Decrease Algorithms for Congestion
/// Avoidance in Computer Networks", 1989.
struct aimd_limit {
  static constexpr bool needs_idle = false;

  double backoff;
  double increase;
  duration slow_after;  // zero: no bound

  double next(double limit, const limit_window& w, duration idle) const noexcept;
};

}  // namespace holdfast::detail

#endif
