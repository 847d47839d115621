// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace lab {

/// What the command line asks for.
struct options {
  bool help = false;
  bool list = false;
  std::string show;                   ///< The name of a shipped file to print.
  std::string scenario;               ///< A shipped scenario's name, or a file.
  std::vector<std::string> pipelines; ///< Files; empty: the shipped ones.
  std::string html;                   ///< Where to write the report; empty: nowhere.
  std::optional<std::uint64_t> seed;  ///< Instead of the scenario's.
};

/// A command line that makes no sense; says how to mend it.
struct wrong_arguments : std::runtime_error {
  using std::runtime_error::runtime_error;
};

options parse_options(const std::vector<std::string>& arguments);

extern const char* const usage;

}  // namespace lab
