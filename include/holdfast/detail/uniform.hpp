// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_UNIFORM_HPP
#define HOLDFAST_DETAIL_UNIFORM_HPP

#include <cstdint>
#include <holdfast/clock.hpp>

namespace holdfast::detail {

/// Maps a uniformly distributed number to `[low, high]`, the same on every compiler and library.
/// Source: D. Lemire, "Fast Random Integer Generation in an Interval", 2019, without the rejection
/// step: the bias is below 2^-64 times the range.
inline duration uniform(duration low, duration high, std::uint64_t random) noexcept {
  __extension__ using wide = unsigned __int128;
  const auto range = static_cast<std::uint64_t>((high - low).count()) + 1;
  return low + duration(static_cast<duration::rep>((wide(random) * range) >> 64));
}

}  // namespace holdfast::detail

#endif
