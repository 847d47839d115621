// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <holdfast/detail/option_faults.hpp>
#include <holdfast/detail/format.hpp>
#include <holdfast/invalid_options.hpp>

namespace holdfast {

invalid_options::invalid_options(std::string_view where, std::vector<std::string> faults)
    : std::invalid_argument(fmt::format("{}: {}", where, fmt::join(faults, "; "))),
      faults_(std::move(faults)) {}

namespace detail {

void option_faults::add(std::string_view option, std::string_view value, std::string_view rule) {
  faults_.push_back(fmt::format("{} = {}: {}", option, value, rule));
}

void option_faults::at_least(std::string_view option, duration value, duration least) {
  if (value < least) {
    add(option, format_duration(value), fmt::format("must be at least {}", format_duration(least)));
  }
}

void option_faults::at_least(std::string_view option, std::uint64_t value, std::uint64_t least) {
  if (value < least)
    add(option, fmt::format("{}", value), fmt::format("must be at least {}", least));
}

void option_faults::between(std::string_view option, double value, double low, double high) {
  // Written so that a NaN fails.
  if (!(value >= low && value <= high)) {
    add(option, fmt::format("{}", value), fmt::format("must be between {} and {}", low, high));
  }
}

void option_faults::raise_if_any(std::string_view where) {
  if (!faults_.empty()) throw invalid_options(where, std::move(faults_));
}

}  // namespace detail
}  // namespace holdfast
