// SPDX-License-Identifier: BSL-1.0
#include "report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <holdfast/detail/format.hpp>
#include <holdfast/policy/circuit_breaker.hpp>
#include <utility>

#include "plot.hpp"

namespace lab {

namespace {

// Okabe and Ito's palette, which people with any colour vision can tell apart.
constexpr std::array colours{"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                             "#e69f00", "#56b4e9", "#555555", "#b59f00"};

std::string colour_of(std::size_t i) { return colours[i % colours.size()]; }

double in_seconds(hf::duration d) { return std::chrono::duration<double>(d).count(); }

/// The mean of the five seconds around each.
std::vector<double> smoothed(const std::vector<double>& values) {
  std::vector<double> out;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t from = i < 2 ? 0 : i - 2;
    const std::size_t until = std::min(i + 3, values.size());
    double sum = 0;
    for (std::size_t k = from; k < until; ++k) sum += values[k];
    out.push_back(sum / static_cast<double>(until - from));
  }
  return out;
}

shades brown_outs_of(const scenario& s) {
  shades out;
  for (const brown_out& b : s.service.brown_outs) {
    out.emplace_back(in_seconds(b.from), in_seconds(b.until));
  }
  return out;
}

using value = std::function<double(const second&)>;

std::vector<double> values_of(const course& c, const value& of) {
  std::vector<double> out;
  for (const second& now : c.seconds) out.push_back(of(now));
  return out;
}

std::string plot(std::string_view title, std::string_view unit, const scenario& s,
                 const std::vector<course>& courses, const value& of) {
  std::vector<line> lines;
  for (std::size_t i = 0; i < courses.size(); ++i) {
    lines.push_back({courses[i].pipeline, colour_of(i), smoothed(values_of(courses[i], of))});
  }
  return line_plot(title, unit, lines, brown_outs_of(s));
}

/// Both are smoothed before they are divided: a second may have no call.
std::string attempts_plot(const scenario& s, const std::vector<course>& courses) {
  std::vector<line> lines;
  for (std::size_t i = 0; i < courses.size(); ++i) {
    const auto attempts =
        smoothed(values_of(courses[i], [](const second& now) { return now.attempts; }));
    auto ratio = smoothed(values_of(courses[i], [](const second& now) { return now.begun; }));
    for (std::size_t k = 0; k < ratio.size(); ++k) {
      ratio[k] = ratio[k] > 0 ? attempts[k] / ratio[k] : 0;
    }
    lines.push_back({courses[i].pipeline, colour_of(i), std::move(ratio)});
  }
  return line_plot("Attempts that reach the service, per call", "", lines, brown_outs_of(s));
}

std::string colour_of(hf::breaker_state s) {
  switch (s) {
    case hf::breaker_state::closed: return "#bcdcc8";
    case hf::breaker_state::half_open: return "#e69f00";
    case hf::breaker_state::recovering: return "#f2d08a";
    default: return "#d55e00";
  }
}

std::string breakers_plot(const scenario& s, const std::vector<course>& courses) {
  std::vector<state_row> rows;
  for (const course& c : courses) {
    if (c.seconds.empty() || !c.seconds.front().breaker) continue;
    state_row r{c.pipeline, {}};
    for (const second& now : c.seconds) r.colours.push_back(colour_of(*now.breaker));
    rows.push_back(std::move(r));
  }
  if (rows.empty()) return {};
  return state_plot("Circuit breakers: closed (green), half-open (yellow), open (red)", rows,
                    brown_outs_of(s));
}

/// In words, for the head of the page.
std::string summary(const scenario& s) {
  const service_time& takes = s.service.takes;
  std::string out = fmt::format(
      "A service of {} slots that needs {}{}. ", s.service.slots,
      hf::detail::format_duration(std::max(takes.exponential, takes.constant)),
      takes.exponential > hf::duration::zero() ? " on average" : "");
  for (const brown_out& b : s.service.brown_outs) {
    out += fmt::format("From {} to {}, {:g} % of the requests take {}{}. ",
                       hf::detail::format_duration(b.from), hf::detail::format_duration(b.until),
                       100 * b.share, hf::detail::format_duration(b.takes),
                       b.fails ? " and fail" : "");
  }
  out += s.clients.sessions > 0
             ? fmt::format("{} sessions that think for {} between their calls.", s.clients.sessions,
                           hf::detail::format_duration(s.clients.think))
             : fmt::format("{:g} calls a second.", s.clients.per_second);
  return out + fmt::format(" Seed {}.", s.seed);
}

constexpr std::string_view style = R"(
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff;
       max-width: 980px; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3em .6em; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
.chip { display: inline-block; width: .8em; height: .8em; margin-right: .5em; }
svg { display: block; width: 100%; height: auto; margin-top: 1.2em; }
svg text { font: 12px system-ui, sans-serif; fill: #555; }
svg .title { font-size: 14px; font-weight: 600; fill: #222; }
svg .grid { stroke: #e4e4e4; }
svg .shade { fill: #f3eee2; }
svg polyline { fill: none; stroke-width: 1.8; }
)";

std::optional<double> share(double part, double of) {
  return of > 0 ? std::optional(part / of) : std::nullopt;
}

std::string percent(std::optional<double> share) {
  return share ? fmt::format("{:.1f} %", 100 * *share) : "-";
}

}  // namespace

std::vector<row> rows_of(const scenario& s, const std::vector<course>& courses) {
  const shades brown = brown_outs_of(s);
  double last = 0;
  for (const auto& [from, until] : brown) last = std::max(last, until);
  const auto within = [&](double t) {
    return std::any_of(brown.begin(), brown.end(),
                       [t](const auto& b) { return t >= b.first && t < b.second; });
  };
  std::vector<row> rows;
  for (const course& c : courses) {
    double calls_during = 0, good_during = 0, calls_after = 0, good_after = 0;
    for (std::size_t i = 0; i < c.seconds.size(); ++i) {
      const second& now = c.seconds[i];
      const auto t = static_cast<double>(i);
      if (within(t)) {
        calls_during += now.ended;
        good_during += now.good;
      } else if (t >= last + 10) {
        calls_after += now.ended;
        good_after += now.good;
      }
    }
    rows.push_back({.pipeline = c.pipeline,
                    .calls = c.calls,
                    .good = share(c.good, c.calls),
                    .during = share(good_during, calls_during),
                    .after = share(good_after, calls_after),
                    .attempts = c.begun > 0 ? c.attempts / c.begun : 0,
                    .p50 = in_seconds(c.p50),
                    .p99 = in_seconds(c.p99)});
  }
  return rows;
}

std::string table(const scenario& s, const std::vector<course>& courses) {
  std::size_t widest = 8;
  for (const course& c : courses) widest = std::max(widest, c.pipeline.size());
  std::string out =
      fmt::format("{:<{}}  {:>8}  {:>7}  {:>7}  {:>7}  {:>8}  {:>8}  {:>8}\n", "pipeline", widest,
                  "calls", "good", "during", "after", "attempts", "p50", "p99");
  for (const row& r : rows_of(s, courses)) {
    out += fmt::format(
        "{:<{}}  {:>8.0f}  {:>7}  {:>7}  {:>7}  {:>8.2f}  {:>6.2f} s  {:>6.2f} s\n", r.pipeline,
        widest, r.calls, percent(r.good), percent(r.during), percent(r.after), r.attempts, r.p50,
        r.p99);
  }
  return out;
}

std::string html(std::string_view name, const scenario& s, const std::vector<course>& courses) {
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}</title>"
      "<style>{1}</style></head><body>\n<h1>{0}</h1>\n<p>{2}</p>\n<p>{3}</p>\n",
      escaped(name), style, escaped(s.about), escaped(summary(s)));
  out +=
      "<table><tr><th>pipeline</th><th>calls</th><th>good</th><th>during</th><th>after</th>"
      "<th>attempts per call</th><th>p50</th><th>p99</th></tr>\n";
  const std::vector<row> rows = rows_of(s, courses);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const row& r = rows[i];
    out += fmt::format(
        "<tr><td><span class=\"chip\" style=\"background:{}\"></span>{}</td><td>{:.0f}</td>"
        "<td>{}</td><td>{}</td><td>{}</td><td>{:.2f}</td><td>{:.2f} s</td><td>{:.2f} s</td></tr>\n",
        colour_of(i), escaped(r.pipeline), r.calls, percent(r.good), percent(r.during),
        percent(r.after), r.attempts, r.p50, r.p99);
  }
  out +=
      "</table>\n<p>Good: the share of the calls that ended with an answer; during: of those that "
      "ended in the shaded time; after: of those that ended more than ten seconds after it. The "
      "lines are means of five seconds.</p>\n";
  out += plot("Calls that begin, per second", "", s, courses,
              [](const second& now) { return now.begun; });
  out += plot("Calls that end with an answer, per second", "", s, courses,
              [](const second& now) { return now.good; });
  out += attempts_plot(s, courses);
  out += plot("Half of the calls take no longer than", " s", s, courses,
              [](const second& now) { return in_seconds(now.p50); });
  out += plot("99 % of the calls take no longer than", " s", s, courses,
              [](const second& now) { return in_seconds(now.p99); });
  out += breakers_plot(s, courses);
  return out + "</body></html>\n";
}

}  // namespace lab
