// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <holdfast/invalid_options.hpp>
#include <holdfast/testing/seed.hpp>
#include <string_view>

namespace holdfast::testing {

std::uint64_t seed_or(std::uint64_t otherwise) {
  const char* const given = std::getenv("HOLDFAST_SEED");
  if (!given) return otherwise;
  const std::string_view text(given);
  std::uint64_t seed = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), seed);
  if (ec != std::errc() || end != text.data() + text.size()) {
    throw invalid_options("environment",
                          {fmt::format("HOLDFAST_SEED = {}: must be a whole number", text)});
  }
  return seed;
}

}  // namespace holdfast::testing
