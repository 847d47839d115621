// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "load.hpp"

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace demo {

struct options {
  bool help = false;
  bool serve = false;
  std::uint16_t port = 0;  ///< of the protected service; 0: the system chooses
  int seconds = 45;
  std::uint64_t seed = 1;
  std::optional<load_options> load;  ///< this process is the load generator
};

/// Its words are meant for the user.
struct usage_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Throws usage_error.
options parse_options(const std::vector<std::string>& arguments);
std::string help_text();

/// The arguments that make another process a load generator.
std::vector<std::string> load_arguments(const load_options& load);

}  // namespace demo
