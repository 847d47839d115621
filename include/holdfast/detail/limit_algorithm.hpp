// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_LIMIT_ALGORITHM_HPP
#define HOLDFAST_DETAIL_LIMIT_ALGORITHM_HPP

#include <holdfast/detail/aimd_limit.hpp>
#include <holdfast/detail/gradient_limit.hpp>
#include <holdfast/detail/vegas_limit.hpp>
#include <holdfast/policy/adaptive_limit_options.hpp>
#include <variant>

/// \file
/// An algorithm is a pure function of one window:
///
///   static constexpr bool needs_idle;       whether it compares with the idle latency
///   double next(double limit, const limit_window&, duration idle) const;
///
/// It is asked only for windows in which the limit may have mattered: growth where calls did not
/// use the limit is held back by the caller. `idle` is zero where it is not needed.

namespace holdfast::detail {

using limit_rule = std::variant<gradient_limit, vegas_limit, aimd_limit>;

limit_rule make_limit_rule(const adaptive_limit_options& o);

}  // namespace holdfast::detail

#endif
