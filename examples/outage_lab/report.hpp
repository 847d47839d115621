// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "experiment.hpp"
#include "scenario.hpp"

namespace lab {

/// The figures of a course for one row of a table.
struct row {
  std::string pipeline;
  double calls;
  // Shares of the calls that ended with an answer; none where no call ended.
  std::optional<double> good;    ///< Of all,
  std::optional<double> during;  ///< of those that ended while a brown-out lasted,
  std::optional<double> after;   ///< and of those that ended more than ten seconds after the last.
  double attempts;               ///< Per call.
  double p50;                    ///< Seconds.
  double p99;
};
std::vector<row> rows_of(const scenario& s, const std::vector<course>& courses);

/// The table as text.
std::string table(const scenario& s, const std::vector<course>& courses);

/// A page with the table and the plots, in one file that needs nothing else.
std::string html(std::string_view name, const scenario& s, const std::vector<course>& courses);

}  // namespace lab
