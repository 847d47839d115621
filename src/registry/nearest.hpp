// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string_view>
#include <vector>

namespace holdfast::detail {

/// The one of `known` that differs least from `word` (Levenshtein's distance); empty where even
/// that one differs in more than half of its letters.
std::string_view nearest(std::string_view word, const std::vector<std::string_view>& known);

}  // namespace holdfast::detail
