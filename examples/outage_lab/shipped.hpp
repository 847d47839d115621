// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <span>
#include <string_view>

namespace lab {

/// A file that the program brings along.
struct shipped_file {
  std::string_view name;
  std::string_view about;
  std::string_view json;
};

/// The scenarios, by name.
std::span<const shipped_file> shipped_scenarios();

/// The pipelines that a scenario is run with where no others are given.
const shipped_file& shipped_pipelines();

}  // namespace lab
