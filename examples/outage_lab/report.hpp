// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "experiment.hpp"
#include "scenario.hpp"

namespace lab {

/// The figures of a course for one row of a table. Shares are of the calls that ended with an
/// answer; none where no call ended.
struct row {
  std::string pipeline;
  double calls;
  std::optional<double> good;    ///< Of all,
  std::optional<double> during;  ///< of those that ended while a brown-out lasted,
  std::optional<double> after;   ///< and of those that ended more than ten seconds after the last.
  double attempts;               ///< Per call.
  double p50;                    ///< Seconds.
  double p99;

  // Where the scenario has a server:
  std::optional<double> other;    ///< The same as `during`, of the other route's calls.
  std::optional<double> full_at;  ///< When all workers were busy for the first time, in seconds.
};
std::vector<row> rows_of(const scenario& s, const std::vector<course>& courses);

/// The table as text.
std::string table(const scenario& s, const std::vector<course>& courses);

/// A text that was read: a scenario, or pipelines.
struct source {
  std::string name;
  std::string text;
};

/// A page with the table, the plots and what was run, in one file that needs nothing else.
std::string html(std::string_view name, const scenario& s, const std::vector<course>& courses,
                 const std::vector<source>& sources);

}  // namespace lab
