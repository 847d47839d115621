// SPDX-License-Identifier: BSL-1.0
#include <holdfast/priority.hpp>

namespace holdfast {

std::string_view to_string(priority p) noexcept {
  switch (p) {
    case priority::critical: return "critical";
    case priority::high: return "high";
    case priority::normal: return "normal";
    case priority::low: return "low";
    case priority::background: return "background";
  }
  return "unknown";
}

}  // namespace holdfast
