// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_COARSE_CLOCK_HPP
#define HOLDFAST_DETAIL_COARSE_CLOCK_HPP

#include <time.h>

#include <holdfast/clock.hpp>

namespace holdfast::detail {

#if defined(CLOCK_MONOTONIC_COARSE)

/// The kernel's time of its last tick, on the time line of `steady_clock` and never ahead of it.
/// A quarter of the price of `steady_clock::now()`.
inline time_point coarse_now() noexcept {
  timespec t;
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
  return time_point(duration(static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec));
}

/// How far it is behind at most: two ticks, since virtual machines have been seen to run every
/// other one late.
inline duration coarse_resolution() noexcept {
  static const duration resolution = [] {
    timespec t;
    ::clock_getres(CLOCK_MONOTONIC_COARSE, &t);
    return 2 * duration(static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec);
  }();
  return resolution;
}

#else

inline time_point coarse_now() noexcept { return clock::now(); }
inline duration coarse_resolution() noexcept { return duration::zero(); }

#endif

}  // namespace holdfast::detail

#endif
