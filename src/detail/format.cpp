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

std::string readable_duration(duration d) {
  struct unit {
    std::int64_t size;
    const char* name;
  };
  constexpr unit units[] = {{1'000'000'000, "s"}, {1'000'000, "ms"}, {1'000, "us"}, {1, "ns"}};
  if (d == duration::max()) return "forever";
  const auto n = d.count();
  for (const unit& u : units) {
    if (n < u.size && u.size != 1) continue;
    if (n % u.size == 0) return fmt::format("{} {}", n / u.size, u.name);
    const double value = static_cast<double>(n) / static_cast<double>(u.size);
    const int digits = value < 10 ? 2 : value < 100 ? 1 : 0;
    return fmt::format("{:.{}f} {}", value, digits, u.name);
  }
  return {};
}

}  // namespace holdfast::detail
