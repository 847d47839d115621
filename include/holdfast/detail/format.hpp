// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_FORMAT_HPP
#define HOLDFAST_DETAIL_FORMAT_HPP

#include <holdfast/clock.hpp>
#include <string>

namespace holdfast::detail {

/// Prints a duration in the largest unit that shows it without loss: `2s`, `1500ms`, `250us`.
std::string format_duration(duration d);

/// The same for a reader: "2 s", "37.0 s", "1.25 ms"; three digits where it is not a round number.
std::string readable_duration(duration d);

}  // namespace holdfast::detail

#endif
