// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_SHARE_HPP
#define HOLDFAST_DETAIL_SHARE_HPP

#include <cmath>
#include <cstdint>

namespace holdfast::detail {

/// Whether `part` of `whole` is at least `share`.
///
/// Exact for shares written as decimals, since the quotient is rounded as the literal was. A product is
/// not: 0.55 * 100 is more than 55. `whole` must not be zero.
inline bool reaches(std::uint64_t part, std::uint64_t whole, double share) noexcept {
  return static_cast<double>(part) / static_cast<double>(whole) >= share;
}

/// The least part of `whole` that reaches `share`, at least 1.
inline std::uint64_t least_part(double share, std::uint64_t whole) noexcept {
  auto part = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(whole)));
  if (part > 1 && reaches(part - 1, whole, share)) --part;
  return part == 0 ? 1 : part;
}

}  // namespace holdfast::detail

#endif
