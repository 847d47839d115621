// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_PRIORITY_HPP
#define HOLDFAST_PRIORITY_HPP

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace holdfast {

/// How much a call matters, the most important first. Under overload the last go first.
enum class priority : std::uint8_t {
  critical,    ///< Payments, log-in: what must work when nothing else does.
  high,        ///< Somebody is waiting for it.
  normal,      ///< Whatever says nothing.
  low,         ///< Can be done later.
  background,  ///< Prefetches, reports: nobody notices that it is missing.
};

inline constexpr std::size_t priority_count = 5;

/// Names the enumerator, as `background`. Unknown values give `unknown`.
std::string_view to_string(priority p) noexcept;

}  // namespace holdfast

#endif
