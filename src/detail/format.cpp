// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <holdfast/detail/format.hpp>

namespace holdfast::detail {

std::string format_duration(duration d) {
  const auto n = d.count();
  if (d == duration::max()) return "forever";
  if (n % 1'000'000'000 == 0) return fmt::format("{}s", n / 1'000'000'000);
  if (n % 1'000'000 == 0) return fmt::format("{}ms", n / 1'000'000);
  if (n % 1'000 == 0) return fmt::format("{}us", n / 1'000);
  return fmt::format("{}ns", n);
}

}  // namespace holdfast::detail
