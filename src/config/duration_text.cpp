// SPDX-License-Identifier: BSL-1.0
#include "duration_text.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <utility>

namespace holdfast::detail {

namespace {

/// The nanoseconds of a unit; 0 if it is none.
std::int64_t unit(std::string_view name) noexcept {
  constexpr std::pair<std::string_view, std::int64_t> units[] = {
      {"h", 3'600'000'000'000}, {"m", 60'000'000'000}, {"s", 1'000'000'000},
      {"ms", 1'000'000},        {"us", 1'000},         {"ns", 1}};
  for (const auto& u : units) {
    if (u.first == name) return u.second;
  }
  return 0;
}

}  // namespace

std::optional<duration> parse_duration(std::string_view text) noexcept {
  std::int64_t sum = 0;
  std::int64_t smallest = INT64_MAX;
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc()) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    const std::size_t letters = std::min(text.find_first_of("0123456789"), text.size());
    const std::int64_t ns = unit(text.substr(0, letters));
    text.remove_prefix(letters);
    if (ns == 0 || ns >= smallest) return std::nullopt;
    smallest = ns;
    if (number > static_cast<std::uint64_t>(INT64_MAX - sum) / static_cast<std::uint64_t>(ns)) {
      return std::nullopt;
    }
    sum += static_cast<std::int64_t>(number) * ns;
  }
  return duration(sum);
}

}  // namespace holdfast::detail
