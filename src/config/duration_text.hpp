// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <holdfast/clock.hpp>
#include <optional>
#include <string_view>

namespace holdfast::detail {

/// Reads a duration such as `250ms`, `1m30s` or `1h`: whole numbers with their units, each unit
/// smaller than the one before. None where it is something else, or longer than a `duration` can
/// be.
std::optional<duration> parse_duration(std::string_view text) noexcept;

}  // namespace holdfast::detail
