// SPDX-License-Identifier: BSL-1.0
#include "plot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace lab {

namespace {

constexpr double width = 960;
constexpr double left = 110;
constexpr double right = 24;
constexpr double top = 30;
constexpr double bottom = 26;
constexpr double inner_width = width - left - right;

/// The steps of an axis: 1, 2 or 5 times a power of ten, so that some five of them reach `most`.
double tick_step(double most) {
  const double rough = most / 5;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough) return factor * power;
  }
  return 10 * power;
}

/// A frame with the title, the time axis and the shades; what is inside follows.
class canvas {
 public:
  canvas(std::string_view title, double height, double seconds, const shades& shaded)
      : height_(height), seconds_(std::max(seconds, 1.0)) {
    out_ = fmt::format(
        "<svg viewBox=\"0 0 {:g} {:g}\" role=\"img\" aria-label=\"{}\">"
        "<text class=\"title\" x=\"{:g}\" y=\"18\">{}</text>\n",
        width, height + top + bottom, escaped(title), left, escaped(title));
    for (const auto& [from, until] : shaded) {
      out_ += fmt::format(
          "<rect class=\"shade\" x=\"{:.1f}\" y=\"{:g}\" width=\"{:.1f}\" height=\"{:g}\"/>\n",
          x(from), top, x(std::min(until, seconds_)) - x(from), height_);
    }
    const double step = tick_step(seconds_ * 5 / 8);
    for (double t = 0; t <= seconds_ + 1e-9; t += step) {
      out_ += fmt::format("<text class=\"tick\" x=\"{:.1f}\" y=\"{:g}\" text-anchor=\"middle\">"
                          "{:g} s</text>\n",
                          x(t), top + height_ + 17, t);
    }
  }

  double x(double second) const {
    return left + inner_width * std::clamp(second / seconds_, 0.0, 1.0);
  }
  double height() const { return height_; }
  void add(std::string_view svg) { out_ += svg; }
  std::string finish() && { return std::move(out_) + "</svg>\n"; }

 private:
  double height_;
  double seconds_;
  std::string out_;
};

}  // namespace

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string line_plot(std::string_view title, std::string_view unit, const std::vector<line>& lines,
                      const shades& shaded) {
  double most = 0;
  std::size_t seconds = 0;
  for (const line& l : lines) {
    seconds = std::max(seconds, l.values.size());
    for (const double v : l.values) most = std::max(most, v);
  }
  if (most <= 0) most = 1;
  const double step = tick_step(most);
  const double ceiling = std::ceil(most / step) * step;

  canvas c(title, 190, static_cast<double>(seconds), shaded);
  const auto y = [&](double v) { return top + c.height() * (1 - v / ceiling); };
  for (double v = 0; v <= ceiling + step / 2; v += step) {
    c.add(fmt::format("<line class=\"grid\" x1=\"{:g}\" x2=\"{:g}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
                      "<text class=\"tick\" x=\"{:g}\" y=\"{:.1f}\" text-anchor=\"end\">{:g}{}"
                      "</text>\n",
                      left, width - right, y(v), y(v), left - 6, y(v) + 4, v, escaped(unit)));
  }
  for (const line& l : lines) {
    std::string points;
    for (std::size_t i = 0; i < l.values.size(); ++i) {
      points += fmt::format("{:.1f},{:.1f} ", c.x(static_cast<double>(i) + 0.5), y(l.values[i]));
    }
    c.add(fmt::format("<polyline points=\"{}\" stroke=\"{}\"><title>{}</title></polyline>\n",
                      points, l.colour, escaped(l.name)));
  }
  return std::move(c).finish();
}

std::string state_plot(std::string_view title, const std::vector<state_row>& rows,
                       const shades& shaded) {
  constexpr double row_height = 20;
  constexpr std::size_t longest_name = 15;
  std::size_t seconds = 0;
  for (const state_row& r : rows) seconds = std::max(seconds, r.colours.size());
  canvas c(title, row_height * static_cast<double>(rows.size()), static_cast<double>(seconds),
           shaded);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const state_row& r = rows[i];
    const double y = top + row_height * static_cast<double>(i);
    // One rectangle for each span of one colour.
    for (std::size_t from = 0; from < r.colours.size();) {
      std::size_t until = from;
      while (until < r.colours.size() && r.colours[until] == r.colours[from]) ++until;
      if (!r.colours[from].empty()) {
        c.add(fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:g}\" "
                          "fill=\"{}\"/>\n",
                          c.x(static_cast<double>(from)), y + 3,
                          c.x(static_cast<double>(until)) - c.x(static_cast<double>(from)),
                          row_height - 6, r.colours[from]));
      }
      from = until;
    }
    const std::string shown =
        r.name.size() > longest_name ? r.name.substr(0, longest_name - 1) + "~" : r.name;
    c.add(fmt::format("<text class=\"tick\" x=\"{:g}\" y=\"{:.1f}\" text-anchor=\"end\">{}"
                      "</text>\n",
                      left - 6, y + 14, escaped(shown)));
  }
  return std::move(c).finish();
}

}  // namespace lab
