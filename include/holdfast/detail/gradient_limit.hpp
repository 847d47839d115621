// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_GRADIENT_LIMIT_HPP
#define HOLDFAST_DETAIL_GRADIENT_LIMIT_HPP

#include <holdfast/detail/limit_window.hpp>

namespace holdfast::detail {

/// Multiplies the limit by the gradient, the ratio of the tolerated latency to the current one, and
/// adds the square root of the limit as room for a short queue.
///
/// Sources: Netflix concurrency-limits, `Gradient2Limit` (tolerance, smoothing); Envoy's gradient
/// controller (headroom; a measured idle latency in place of a long average, which drifts up with
/// the load that it is to judge).
struct gradient_limit {
  static constexpr bool needs_idle = true;

  double tolerance;
  double smoothing;

  double next(double limit, const limit_window& w, duration idle) const noexcept;
};

}  // namespace holdfast::detail

#endif
