// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lab {

/// What surrounds a plot.
struct frame {
  std::string title;
  std::string axis;  ///< What the vertical axis counts.
  double seconds;    ///< How far the horizontal one goes.
  std::vector<std::pair<double, double>> shaded;  ///< From when until when, in seconds.
};

/// One line of a plot. Its place among the lines chooses colour and dashes.
struct line {
  std::string name;
  std::vector<double> values;  ///< For spans of equal length; NaN: a gap.
};

/// Draws lines over time as SVG, with a legend and axes from zero.
std::string line_plot(const frame& f, const std::vector<line>& lines);

/// One of the states that something can be in.
struct state_style {
  std::string name;
  std::string colour;
  double height;  ///< Of its bars, up to 1: so that colour is not all that tells them apart.
};

/// A row of bars: which state held in which second; an index into the styles.
struct state_row {
  std::string name;
  std::vector<std::size_t> states;
};
std::string state_plot(const frame& f, const std::vector<state_style>& styles,
                       const std::vector<state_row>& rows);

/// A short piece of the line with that place, for a table.
std::string line_sample(std::size_t place);

/// As text inside HTML or SVG.
std::string escaped(std::string_view text);

}  // namespace lab
