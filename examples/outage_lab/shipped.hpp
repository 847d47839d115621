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

  /// Of a scenario: the pipelines that it is run with where no others are given.
  std::string_view pipelines = {};
};

std::span<const shipped_file> shipped_scenarios();

/// The first are for scenarios that are not shipped.
std::span<const shipped_file> shipped_pipelines();

}  // namespace lab
