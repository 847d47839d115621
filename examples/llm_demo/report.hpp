// SPDX-License-Identifier: BSL-1.0
//
// What the demo prints: one line a second, a summary, and whether it went as promised.
#pragma once

#include "load_stats.hpp"
#include "status.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace demo {

class report {
 public:
  /// In colour on a terminal, plain anywhere else, or where NO_COLOR is set.
  report();

  void phase(int second, std::string_view words);
  /// One line. A service that does not say its status in time has a question mark in it.
  void second(const load_stats& with, const std::optional<protected_status>& with_status,
              const load_stats& without, const std::optional<unprotected_status>& without_status);

  /// Prints the same load side by side and the verdict; true when the demo went as promised.
  bool summary(const load_stats& with, const std::optional<protected_status>& with_status,
               const load_stats& without);

 private:
  std::string paint(std::string text, const char* colour) const;
  std::string breaker_cell(const protected_status& status, std::size_t index) const;
  void header() const;

  bool colour_;
  int lines_ = 0;
  std::uint64_t refused_before_ = 0;
};

}  // namespace demo
