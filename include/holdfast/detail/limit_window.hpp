// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_LIMIT_WINDOW_HPP
#define HOLDFAST_DETAIL_LIMIT_WINDOW_HPP

#include <algorithm>
#include <cstdint>
#include <holdfast/clock.hpp>

namespace holdfast::detail {

/// What an adaptive limit saw in one window.
struct limit_window {
  /// The chosen quantile; without meaning where there are no samples.
  duration latency = duration::zero();
  unsigned samples = 0;
  std::uint64_t admitted = 0;
  std::uint64_t dropped = 0;
  unsigned peak_in_flight = 0;
  bool refused = false;

  /// Which share of the calls was dropped, where that is more than an accident.
  double drop_share() const noexcept {
    constexpr double accidental = 0.01;
    if (dropped == 0) return 0.0;
    const auto calls = static_cast<double>(std::max(admitted, dropped));
    const double share = static_cast<double>(dropped) / calls;
    return share > accidental ? share : 0.0;
  }

  /// Whether the calls left at least half of the limit unused throughout.
  bool light(double limit) const noexcept {
    return !refused && 2.0 * static_cast<double>(peak_in_flight) <= limit;
  }
};

/// What dropped calls make of a limit: down by their share, at most by half. Together with the
/// small growth that is left to an algorithm meanwhile, a service that drops calls for reasons of
/// its own is not throttled to nothing.
inline double after_drops(double limit, double drop_share) noexcept {
  return limit * std::max(0.5, 1.0 - drop_share);
}

}  // namespace holdfast::detail

#endif
