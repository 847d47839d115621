// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lab {

/// One line of a plot, a value for each second.
struct line {
  std::string name;
  std::string colour;
  std::vector<double> values;
};

/// Times that are shaded, in seconds.
using shades = std::vector<std::pair<double, double>>;

/// Draws lines over time as SVG, with axes from zero. `unit` follows the numbers of the axis.
std::string line_plot(std::string_view title, std::string_view unit, const std::vector<line>& lines,
                      const shades& shaded);

/// A row of coloured spans for each name: which state held in which second.
struct state_row {
  std::string name;
  std::vector<std::string> colours;  ///< One for each second; empty: nothing.
};
std::string state_plot(std::string_view title, const std::vector<state_row>& rows,
                       const shades& shaded);

/// As text inside HTML or SVG.
std::string escaped(std::string_view text);

}  // namespace lab
