// SPDX-License-Identifier: BSL-1.0
#include "report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <holdfast/detail/format.hpp>
#include <holdfast/policy/circuit_breaker.hpp>
#include <limits>
#include <utility>

#include "plot.hpp"

namespace lab {

namespace {

using hf::detail::format_duration;

double in_seconds(hf::duration d) { return std::chrono::duration<double>(d).count(); }

constexpr double nothing = std::numeric_limits<double>::quiet_NaN();

/// More points than these are not to be seen.
constexpr std::size_t most_points = 800;

/// How many seconds the mean that a point shows is of.
std::size_t seconds_of_a_mean(std::size_t seconds) {
  return std::max<std::size_t>(5, (seconds + most_points - 1) / most_points);
}

/// Means of the values that there are: around each second, or of span after span where there are
/// more seconds than points.
std::vector<double> smoothed(const std::vector<double>& values) {
  const std::size_t width = seconds_of_a_mean(values.size());
  const std::size_t step = values.size() > most_points ? width : 1;
  std::vector<double> out;
  for (std::size_t i = 0; i < values.size(); i += step) {
    const std::size_t from = step > 1 || i < width / 2 ? i - i % step : i - width / 2;
    const std::size_t until = std::min(step > 1 ? i + step : i + width / 2 + 1, values.size());
    double sum = 0;
    std::size_t count = 0;
    for (std::size_t k = from; k < until; ++k) {
      if (std::isnan(values[k])) continue;
      sum += values[k];
      ++count;
    }
    out.push_back(count == 0 ? nothing : sum / static_cast<double>(count));
  }
  return out;
}

using value = std::function<double(const second&)>;

std::vector<double> values_of(const course& c, const value& of) {
  std::vector<double> out;
  for (const second& now : c.seconds) out.push_back(of(now));
  return out;
}

/// The plots of one scenario.
class plots {
 public:
  plots(const scenario& s, const std::vector<course>& courses) : courses_(courses) {
    frame_.seconds = static_cast<double>(courses.empty() ? 0 : courses.front().seconds.size());
    for (const brown_out& b : s.service.brown_outs) {
      frame_.shaded.emplace_back(in_seconds(b.from), in_seconds(b.until));
    }
  }

  std::string of(std::string_view title, std::string_view axis, const value& v) {
    std::vector<line> lines;
    for (const course& c : courses_) lines.push_back({c.pipeline, smoothed(values_of(c, v))});
    return line_plot(titled(title, axis), lines);
  }

  /// Both are smoothed before they are divided: a second may have no call.
  std::string ratio(std::string_view title, std::string_view axis, const value& over,
                    const value& under) {
    std::vector<line> lines;
    for (const course& c : courses_) {
      std::vector<double> values = smoothed(values_of(c, over));
      const std::vector<double> divisors = smoothed(values_of(c, under));
      for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = divisors[i] > 0 ? values[i] / divisors[i] : nothing;
      }
      lines.push_back({c.pipeline, std::move(values)});
    }
    return line_plot(titled(title, axis), lines);
  }

  std::string breakers() {
    static const std::vector<state_style> styles{{"closed", "#bcdcc8", 0.3},
                                                 {"recovering", "#f2d08a", 0.55},
                                                 {"half-open", "#e69f00", 0.75},
                                                 {"open", "#d55e00", 1}};
    const auto style_of = [](hf::breaker_state s) -> std::size_t {
      switch (s) {
        case hf::breaker_state::closed: return 0;
        case hf::breaker_state::recovering: return 1;
        case hf::breaker_state::half_open: return 2;
        default: return 3;
      }
    };
    std::vector<state_row> rows;
    for (const course& c : courses_) {
      if (c.seconds.empty() || !c.seconds.front().breaker) continue;
      state_row r{c.pipeline, {}};
      for (const second& now : c.seconds) r.states.push_back(style_of(*now.breaker));
      rows.push_back(std::move(r));
    }
    return rows.empty() ? "" : state_plot(titled("Circuit breakers", ""), styles, rows);
  }

 private:
  const frame& titled(std::string_view title, std::string_view axis) {
    frame_.title = title;
    frame_.axis = axis;
    return frame_;
  }

  const std::vector<course>& courses_;
  frame frame_;
};

std::string in_words(const service_time& takes) {
  const bool varies = takes.exponential > hf::duration::zero();
  return fmt::format("{}{}", format_duration(std::max(takes.exponential, takes.constant)),
                     varies ? " on average" : "");
}

/// What the scenario is, for the head of the page.
std::string summary(const scenario& s) {
  std::string out = fmt::format("A service of {} slots that needs {}. ", s.service.slots,
                                in_words(s.service.takes));
  for (const brown_out& b : s.service.brown_outs) {
    out += fmt::format("From {} to {}, {:g} % of the requests take {}{}. ",
                       format_duration(b.from), format_duration(b.until), 100 * b.share,
                       format_duration(b.takes), b.fails ? " and fail" : "");
  }
  out += s.clients.sessions > 0
             ? fmt::format("{} sessions that think for {} between their calls.", s.clients.sessions,
                           format_duration(s.clients.think))
             : fmt::format("{:g} calls a second.", s.clients.per_second);
  if (s.server) {
    out += fmt::format(" They come through a server of {} workers, which has another route: "
                       "{:g} calls a second of {}.",
                       s.server->workers, s.server->other.per_second,
                       in_words(s.server->other.takes));
  }
  if (s.deadline > hf::duration::zero()) {
    out += fmt::format(" Callers wait for {} at most.", format_duration(s.deadline));
  }
  return out;
}

constexpr std::string_view style = R"(
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff;
       max-width: 980px; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3em .6em; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
svg { display: block; width: 100%; height: auto; margin-top: 1.6em; break-inside: avoid; }
svg.sample { display: inline-block; width: 28px; height: 8px; margin: 0 .6em 0 0; }
svg text { font: 12px system-ui, sans-serif; fill: #555; }
svg .title { font-size: 14px; font-weight: 600; fill: #222; }
svg .grid { stroke: #000; stroke-opacity: .11; }
svg .shade { fill: #efe8d6; }
svg .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
pre { background: #f6f6f6; padding: .8em; overflow-x: auto; font-size: 12px; line-height: 1.4; }
@media print { body { margin: 0; max-width: none; } pre { white-space: pre-wrap; } }
)";

std::optional<double> share(double part, double of) {
  return of > 0 ? std::optional(part / of) : std::nullopt;
}

std::string percent(std::optional<double> share) {
  return share ? fmt::format("{:.1f} %", 100 * *share) : "-";
}

struct column {
  const char* name;
  std::size_t width;
  std::function<std::string(const row&)> text;
};

/// What the tables show of each pipeline, after its name.
std::vector<column> columns_of(const scenario& s) {
  std::vector<column> all{
      {"calls", 8, [](const row& r) { return fmt::format("{:.0f}", r.calls); }},
      {"good", 7, [](const row& r) { return percent(r.good); }},
      {"during", 7, [](const row& r) { return percent(r.during); }},
      {"after", 7, [](const row& r) { return percent(r.after); }},
      {"attempts", 8, [](const row& r) { return fmt::format("{:.2f}", r.attempts); }},
      {"p50", 8, [](const row& r) { return fmt::format("{:.2f} s", r.p50); }},
      {"p99", 8, [](const row& r) { return fmt::format("{:.2f} s", r.p99); }}};
  if (s.server) {
    all.push_back({"other", 7, [](const row& r) { return percent(r.other); }});
    all.push_back({"full at", 8, [](const row& r) {
                     return r.full_at ? fmt::format("{:.1f} s", *r.full_at) : "never";
                   }});
  }
  return all;
}

}  // namespace

std::vector<row> rows_of(const scenario& s, const std::vector<course>& courses) {
  double last = 0;
  for (const brown_out& b : s.service.brown_outs) last = std::max(last, in_seconds(b.until));
  const auto within = [&](double t) {
    return std::ranges::any_of(s.service.brown_outs, [t](const brown_out& b) {
      return t >= in_seconds(b.from) && t < in_seconds(b.until);
    });
  };
  std::vector<row> rows;
  for (const course& c : courses) {
    second during;
    second after;
    for (std::size_t i = 0; i < c.seconds.size(); ++i) {
      const auto t = static_cast<double>(i);
      if (!within(t) && t < last + 10) continue;
      const second& now = c.seconds[i];
      second& sum = within(t) ? during : after;
      sum.ended += now.ended;
      sum.good += now.good;
      sum.other_ended += now.other_ended;
      sum.other_good += now.other_good;
    }
    rows.push_back({.pipeline = c.pipeline,
                    .calls = c.calls,
                    .good = share(c.good, c.calls),
                    .during = share(during.good, during.ended),
                    .after = share(after.good, after.ended),
                    .attempts = c.begun > 0 ? c.attempts / c.begun : 0,
                    .p50 = in_seconds(c.p50),
                    .p99 = in_seconds(c.p99),
                    .other = share(during.other_good, during.other_ended),
                    .full_at = c.full_at ? std::optional(in_seconds(*c.full_at)) : std::nullopt});
  }
  return rows;
}

std::string table(const scenario& s, const std::vector<course>& courses) {
  std::size_t widest = 8;
  for (const course& c : courses) widest = std::max(widest, c.pipeline.size());
  const std::vector<column> columns = columns_of(s);
  std::string out = fmt::format("{:<{}}", "pipeline", widest);
  for (const column& c : columns) out += fmt::format("  {:>{}}", c.name, c.width);
  for (const row& r : rows_of(s, courses)) {
    out += fmt::format("\n{:<{}}", r.pipeline, widest);
    for (const column& c : columns) out += fmt::format("  {:>{}}", c.text(r), c.width);
  }
  return out + "\n";
}

std::string html(std::string_view name, const scenario& s, const std::vector<course>& courses,
                 const std::vector<source>& sources) {
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width\"><title>{0}</title>"
      "<style>{1}</style></head><body>\n<h1>{0}</h1>\n<p>{2}</p>\n<p>{3} Seed {4}.</p>\n",
      escaped(name), style, escaped(s.about), escaped(summary(s)), s.seed);

  const std::vector<column> columns = columns_of(s);
  out += "<table><tr><th>pipeline</th>";
  for (const column& c : columns) out += fmt::format("<th>{}</th>", c.name);
  out += "</tr>\n";
  const std::vector<row> rows = rows_of(s, courses);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    out += fmt::format("<tr><td>{}{}</td>", line_sample(i), escaped(rows[i].pipeline));
    for (const column& c : columns) out += fmt::format("<td>{}</td>", c.text(rows[i]));
    out += "</tr>\n";
  }
  out += fmt::format(
      "</table>\n<p>Good: the share of the calls that ended with an answer; during: of those that "
      "ended in a brown-out; after: of those that ended more than ten seconds after the last. "
      "Attempts: requests that reached the service, per call. p50, p99: half of the calls, and 99 "
      "of 100, took no longer. {}The lines are means of {} seconds.</p>\n",
      s.server ? "Other: the share of the other route's calls that ended with an answer, of those "
                 "that ended in a brown-out; full at: when all workers were busy for the first "
                 "time. "
               : "",
      seconds_of_a_mean(courses.empty() ? 0 : courses.front().seconds.size()));

  plots p(s, courses);
  out += p.of("Offered load: calls that begin", "calls per second",
              [](const second& now) { return now.begun; });
  out += p.of("Goodput: calls that end with an answer", "calls per second",
              [](const second& now) { return now.good; });
  if (s.server) {
    out += p.of("Goodput of the other route", "calls per second",
                [](const second& now) { return now.other_good; });
    out += p.of("Workers that are busy", "workers", [](const second& now) { return now.busy; });
  }
  out += p.ratio("Attempts that reach the service, per call", "attempts",
                 [](const second& now) { return now.attempts; },
                 [](const second& now) { return now.begun; });
  out += p.of("Latency: half of the calls take no longer (p50)", "seconds", [](const second& now) {
    return now.ended > 0 ? in_seconds(now.p50) : nothing;
  });
  out += p.of("Latency: 99 of 100 calls take no longer (p99)", "seconds", [](const second& now) {
    return now.ended > 0 ? in_seconds(now.p99) : nothing;
  });
  out += p.breakers();

  out += "<h2>What was run</h2>\n<p>In virtual time, by Holdfast's outage lab. The same files and "
         "the same seed give the same report.</p>\n";
  for (const source& from : sources) {
    out += fmt::format("<h3>{}</h3>\n<pre>{}</pre>\n", escaped(from.name), escaped(from.text));
  }
  return out + "</body></html>\n";
}

}  // namespace lab
