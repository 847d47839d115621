// SPDX-License-Identifier: BSL-1.0
#include "plot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace lab {

namespace {

constexpr double width = 960;
constexpr double left = 120;
constexpr double right = 24;
constexpr double title_height = 26;
constexpr double legend_height = 20;
constexpr double bottom = 40;
constexpr double inner_width = width - left - right;

// Okabe and Ito's palette, which people with any colour vision can tell apart; and dashes, for
// paper and for lines that lie upon each other.
constexpr std::array colours{"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                             "#e69f00", "#56b4e9", "#555555", "#b59f00"};
constexpr std::array dashes{"", " stroke-dasharray=\"9 3\"", " stroke-dasharray=\"2 2\""};

std::string stroke_of(std::size_t place) {
  return fmt::format("stroke=\"{}\"{}", colours[place % colours.size()],
                     dashes[place % dashes.size()]);
}

/// The steps of an axis: 1, 2 or 5 times a power of ten, so that some five of them reach `most`.
double tick_step(double most) {
  const double rough = most / 5;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough) return factor * power;
  }
  return 10 * power;
}

struct time_axis {
  double step;
  double unit;
  const char* name;
};

/// Some ten steps that a person counts in.
time_axis time_axis_of(double seconds) {
  constexpr std::array steps{1.0,   2.0,   5.0,   10.0,   15.0,   30.0,   60.0,
                             120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0};
  const auto fits = [seconds](double step) { return seconds <= 12 * step; };
  const auto found = std::ranges::find_if(steps, fits);
  const double step = found == steps.end() ? steps.back() : *found;
  if (step >= 3600) return {step, 3600, "hours"};
  if (step >= 60) return {step, 60, "minutes"};
  return {step, 1, "seconds"};
}

/// Words for a legend with what they stand for, side by side.
class legend {
 public:
  void add(std::string_view sample, std::string_view text) {
    // Some seven units for a letter of this size.
    const double needs = 34 + 7 * static_cast<double>(text.size()) + 16;
    if (x_ > left && x_ + needs > width) {
      x_ = left;
      ++rows_;
    }
    const double y = title_height + legend_height * rows_;
    out_ += fmt::format("<g transform=\"translate({:g} {:g})\">{}<text x=\"34\" y=\"4\">{}</text>"
                        "</g>\n",
                        x_, y, sample, escaped(text));
    x_ += needs;
  }
  double height() const { return legend_height * (rows_ + 1); }
  const std::string& svg() const { return out_; }

 private:
  double x_ = left;
  double rows_ = 0;
  std::string out_;
};

std::string sample_of(std::size_t place) {
  return fmt::format("<path class=\"line\" d=\"M0 0H28\" {}/>", stroke_of(place));
}

/// A frame with the title, the legend, the time axis and the shades; what is inside follows.
class canvas {
 public:
  canvas(const frame& f, legend words, double height)
      : height_(height), seconds_(std::max(f.seconds, 1.0)) {
    if (!f.shaded.empty()) {
      words.add("<rect class=\"shade\" y=\"-6\" width=\"28\" height=\"12\"/>", "brown-out");
    }
    top_ = title_height + words.height() - 4;
    out_ = fmt::format(
        "<svg viewBox=\"0 0 {:g} {:g}\" role=\"img\" aria-label=\"{}\">"
        "<text class=\"title\" x=\"{:g}\" y=\"14\">{}</text>\n{}",
        width, top_ + height + bottom, escaped(f.title), left, escaped(f.title), words.svg());
    for (const auto& [from, until] : f.shaded) {
      out_ += fmt::format(
          "<rect class=\"shade\" x=\"{:.1f}\" y=\"{:g}\" width=\"{:.1f}\" height=\"{:g}\"/>\n",
          x(from), top_, x(until) - x(from), height_);
    }
    const time_axis axis = time_axis_of(seconds_);
    for (double t = 0; t <= seconds_ + 1e-9; t += axis.step) {
      out_ += fmt::format("<path class=\"grid\" d=\"M{0:.1f} {1:g}v4\"/><text x=\"{0:.1f}\" "
                          "y=\"{2:g}\" text-anchor=\"middle\">{3:g}</text>\n",
                          x(t), top_ + height_, top_ + height_ + 17, t / axis.unit);
    }
    out_ += fmt::format("<text x=\"{:g}\" y=\"{:g}\" text-anchor=\"end\">{} since the start"
                        "</text>\n",
                        width - right, top_ + height_ + 34, axis.name);
    out_ += fmt::format("<text transform=\"translate({:g} {:g}) rotate(-90)\" "
                        "text-anchor=\"middle\">{}</text>\n",
                        left - 60, top_ + height_ / 2, escaped(f.axis));
  }

  double x(double second) const {
    return left + inner_width * std::clamp(second / seconds_, 0.0, 1.0);
  }
  double top() const { return top_; }
  double height() const { return height_; }
  void add(std::string_view svg) { out_ += svg; }
  std::string finish() && { return std::move(out_) + "</svg>\n"; }

 private:
  double height_;
  double seconds_;
  double top_ = 0;
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

std::string line_sample(std::size_t place) {
  return "<svg class=\"sample\" viewBox=\"0 -4 28 8\">" + sample_of(place) + "</svg>";
}

std::string line_plot(const frame& f, const std::vector<line>& lines) {
  double most = 0;
  for (const line& l : lines) {
    for (const double v : l.values) most = std::max(most, std::isnan(v) ? 0 : v);
  }
  if (most <= 0) most = 1;
  const double step = tick_step(most);
  const double ceiling = std::ceil(most / step) * step;

  legend words;
  for (std::size_t i = 0; i < lines.size(); ++i) words.add(sample_of(i), lines[i].name);
  canvas c(f, std::move(words), 190);
  const auto y = [&](double v) { return c.top() + c.height() * (1 - v / ceiling); };
  for (double v = 0; v <= ceiling + step / 2; v += step) {
    c.add(fmt::format("<path class=\"grid\" d=\"M{:g} {:.1f}H{:g}\"/><text x=\"{:g}\" y=\"{:.1f}\" "
                      "text-anchor=\"end\">{:g}</text>\n",
                      left, y(v), width - right, left - 6, y(v) + 4, v));
  }
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::vector<double>& values = lines[i].values;
    const double span = f.seconds / static_cast<double>(values.size());
    std::string path;
    bool drawing = false;
    for (std::size_t k = 0; k < values.size(); ++k) {
      const bool there = !std::isnan(values[k]);
      const double x = c.x((static_cast<double>(k) + 0.5) * span);
      // A line begins a little to the left: a point alone is seen, too.
      if (there && !drawing) path += fmt::format("M{:.1f} {:.1f}", x - 0.9, y(values[k]));
      if (there) path += fmt::format("L{:.1f} {:.1f}", x, y(values[k]));
      drawing = there;
    }
    c.add(fmt::format("<path class=\"line\" d=\"{}\" {}><title>{}</title></path>\n", path,
                      stroke_of(i), escaped(lines[i].name)));
  }
  return std::move(c).finish();
}

std::string state_plot(const frame& f, const std::vector<state_style>& styles,
                       const std::vector<state_row>& rows) {
  constexpr double row_height = 20;
  constexpr double bar_height = 14;
  constexpr std::size_t longest_name = 14;
  legend words;
  for (const state_style& s : styles) {
    words.add(fmt::format("<rect y=\"{:g}\" width=\"28\" height=\"{:g}\" fill=\"{}\"/>",
                          6 - 12 * s.height, 12 * s.height, s.colour),
              s.name);
  }
  canvas c(f, std::move(words), row_height * static_cast<double>(rows.size()));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const state_row& r = rows[i];
    const double foot = c.top() + row_height * static_cast<double>(i + 1) - 3;
    // One bar for each span of one state.
    for (std::size_t from = 0; from < r.states.size();) {
      std::size_t until = from;
      while (until < r.states.size() && r.states[until] == r.states[from]) ++until;
      const state_style& s = styles[r.states[from]];
      const double x = c.x(static_cast<double>(from));
      const double height = bar_height * s.height;
      c.add(fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" "
                        "fill=\"{}\"/>\n",
                        x, foot - height, c.x(static_cast<double>(until)) - x, height, s.colour));
      from = until;
    }
    const std::string shown =
        r.name.size() > longest_name ? r.name.substr(0, longest_name - 1) + "~" : r.name;
    c.add(fmt::format("<text x=\"{:g}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", left - 6,
                      foot - 3, escaped(shown)));
  }
  return std::move(c).finish();
}

}  // namespace lab
