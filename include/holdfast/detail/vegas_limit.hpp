// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_VEGAS_LIMIT_HPP
#define HOLDFAST_DETAIL_VEGAS_LIMIT_HPP

#include <holdfast/detail/limit_window.hpp>

namespace holdfast::detail {

/// Keeps the queue at the service, as the two latencies imply it, between three and six times the
/// decimal logarithm of the limit. A queue far too long is halved, so that a service that loses
/// capacity does not have to wait for many small steps.
///
/// Sources: L. Brakmo, L. Peterson, "TCP Vegas", 1995; Netflix concurrency-limits, `VegasLimit`
/// (the thresholds).
struct vegas_limit {
  static constexpr bool needs_idle = true;

  double next(double limit, const limit_window& w, duration idle) const noexcept;

 private:
  static double by_queue(double limit, const limit_window& w, duration idle) noexcept;
};

}  // namespace holdfast::detail

#endif
