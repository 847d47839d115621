// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_FORMAT_HPP
#define HOLDFAST_DETAIL_FORMAT_HPP

#include <holdfast/clock.hpp>
#include <string>

namespace holdfast::detail {

/// Prints a duration in the largest unit that shows it without loss: `2s`, `1500ms`, `250us`.
std::string format_duration(duration d);

}  // namespace holdfast::detail

#endif
