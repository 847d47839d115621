// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <cmath>
#include <holdfast/detail/layer_stack.hpp>

namespace holdfast::detail {

void describe_safe_utilisation(std::string& out, double share) {
  if (share >= 1.0) return;
  // Rounded down: a limit that is shown must hold.
  out += fmt::format("safe utilisation: {:g} %\n", std::floor(share * 1000.0) / 10.0);
}

}  // namespace holdfast::detail
