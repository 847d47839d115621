// SPDX-License-Identifier: BSL-1.0
#include "report.hpp"

#include "load.hpp"
#include "unprotected.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <set>

namespace demo {
namespace {

constexpr const char* green = "32";
constexpr const char* yellow = "33";
constexpr const char* red = "31";
constexpr const char* bold = "1";
constexpr const char* dim = "2";

constexpr double history_limit_ms = 50;
constexpr double answered_limit = 0.99;

constexpr int lines_per_header = 20;

bool wants_colour() {
  const char* term = std::getenv("TERM");
  return ::isatty(STDOUT_FILENO) && !std::getenv("NO_COLOR") && term &&
         std::string_view(term) != "dumb";
}

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

/// "-" where nothing ended. Nobody waited longer than the users' patience, so nobody knows how long
/// it would have taken.
std::string milliseconds(double ms) {
  const double longest = std::chrono::duration<double, std::milli>(patience).count();
  if (ms == 0) {
    return "-";
  }
  if (ms >= longest) {
    return fmt::format(">{:.0f}", longest);
  }
  return ms < 10 ? fmt::format("{:.1f}", ms) : fmt::format("{:.0f}", ms);
}

double share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

/// Rounded down: 99.97 % must not read as 100 %.
std::string percent(double share) {
  return fmt::format("{:.1f} %", static_cast<double>(static_cast<int>(share * 1000)) / 10);
}

std::uint64_t answered(const request_stats& stats) { return stats.sent - stats.lost; }

/// By a link that knows something: an apology keeps a user informed, but it is no answer.
std::uint64_t answers_by_links(const load_stats& stats) {
  return stats.answers_from("gpt-4") + stats.answers_from("gpt-3.5") + stats.answers_from("cache");
}

}  // namespace

report::report() : colour_(wants_colour()) {}

std::string report::paint(std::string text, const char* colour) const {
  return colour_ ? fmt::format("\x1b[{}m{}\x1b[0m", colour, text) : text;
}

void report::phase(int second, std::string_view words) {
  print(paint(fmt::format("{:>3} s  {}", second, words), bold) + "\n");
}

void report::header() const {
  constexpr std::string_view rows[] = {
      "     requests  /ask answered by               calls   in       /ask     /history"
      "  breakers              | unprotected",
      "  s  ask hist   gpt-4  gpt-3.5  cache sorry lost refused flight  p50   p99      p99"
      "  gpt-4      gpt-3.5    | lost /history  workers",
      "              primary degraded cached                            ms    ms       ms"
      "                        |      p99, ms   busy+queue",
  };
  for (const std::string_view row : rows) {
    print(paint(std::string(row), dim) + "\n");
  }
}

std::string report::breaker_cell(const protected_status& status, std::size_t index) const {
  constexpr int width = 10;
  if (index >= status.breakers.size()) {
    return fmt::format("{:<{}}", "?", width);
  }
  const breaker_status& breaker = status.breakers[index];
  if (breaker.state == "closed") {
    return paint(fmt::format("{:<{}}", "closed", width), green);
  }
  if (breaker.state == "open") {
    const std::string left = fmt::format("OPEN {:.1f} s", breaker.probe_in_ms / 1000);
    return paint(fmt::format("{:<{}}", left, width), red);
  }
  return paint(fmt::format("{:<{}}", breaker.state, width), yellow);
}

void report::second(const load_stats& with, const std::optional<protected_status>& with_status,
                    const load_stats& without,
                    const std::optional<unprotected_status>& without_status) {
  if (lines_++ % lines_per_header == 0) {
    header();
  }
  const protected_status status = with_status.value_or(protected_status{});
  const std::uint64_t refused = with_status ? status.refused - refused_before_ : 0;
  refused_before_ = with_status ? status.refused : refused_before_;

  const auto lost = [&](const request_stats& stats) {
    const std::string text = fmt::format("{:>4}", stats.lost);
    return stats.lost == 0 ? text : paint(text, red);
  };
  const auto history = [&](const request_stats& stats) {
    const std::string text = fmt::format("{:>8}", milliseconds(stats.p99_ms));
    return paint(text, stats.p99_ms < history_limit_ms ? green : red);
  };
  const request_stats without_all{.lost = without.ask.lost + without.history.lost};

  std::string line = fmt::format(
      "{:>3} {:>4} {:>4} {:>7} {:>8} {:>6} {:>5} {} {:>7} {:>6} {:>4} {:>5} {}  {} {}", with.second,
      with.ask.sent, with.history.sent, with.answers_from("gpt-4"), with.answers_from("gpt-3.5"),
      with.answers_from("cache"), with.answers_from("apology"), lost(with.ask), refused,
      status.in_flight, milliseconds(with.ask.p50_ms), milliseconds(with.ask.p99_ms),
      history(with.history), breaker_cell(status, 0), breaker_cell(status, 1));
  line += fmt::format(" | {} {}", lost(without_all), history(without.history));
  line += without_status ? fmt::format("  {:>4}+{}", without_status->busy, without_status->waiting)
                         : "     ?";
  print(line + "\n");
}

bool report::summary(const load_stats& with, const std::optional<protected_status>& with_status,
                     const load_stats& without) {
  const auto row = [](std::string_view what, const std::string& left, const std::string& right) {
    print(fmt::format("  {:<34}{:>16}{:>16}\n", what, left, right));
  };
  const auto number = [](std::uint64_t n) { return fmt::format("{}", n); };

  print("\n" + paint("The same load, side by side", bold) + "\n");
  row("", "with Holdfast", "unprotected");
  row("/ask       sent", number(with.ask.sent), number(without.ask.sent));
  row("           answered", percent(share(answered(with.ask), with.ask.sent)),
      percent(share(answered(without.ask), without.ask.sent)));
  std::set<std::string> sources;
  for (const load_stats* side : {&with, &without}) {
    for (const auto& [source, count] : side->answers) {
      sources.insert(source);
    }
  }
  for (const std::string& source : sources) {
    const auto of = [&](const load_stats& side) {
      const auto found = side.answers.find(source);
      return found == side.answers.end() ? std::string("-") : number(found->second);
    };
    row("             by " + source, of(with), of(without));
  }
  row("           p50, ms", milliseconds(with.ask.p50_ms), milliseconds(without.ask.p50_ms));
  row("           p99, ms", milliseconds(with.ask.p99_ms), milliseconds(without.ask.p99_ms));
  row("/history   sent", number(with.history.sent), number(without.history.sent));
  row("           answered", percent(share(answered(with.history), with.history.sent)),
      percent(share(answered(without.history), without.history.sent)));
  row("           p99, ms", milliseconds(with.history.p99_ms),
      milliseconds(without.history.p99_ms));

  print(fmt::format(R"(
"Unprotected" is the same chat service without policies and without fallbacks, built like a server
with a pool of {1} blocking workers and a queue of {2}: whatever a request is for, it holds a worker
until it ends. Each call that hangs takes one away for a minute, and soon none is left, even for
/history, which needs no provider at all. An async server without such a bound would keep serving
/history, and pile up the calls that hang instead, for as long as its memory and descriptors last.
Every user waits up to {0} s. A request that has no answer by then, or is refused, is lost, and
counts in the quantiles with the whole {0} s.

)",
                    patience.count(), unprotected_workers, unprotected_queue));

  bool all = true;
  const auto check = [&](bool holds, const std::string& words) {
    all = all && holds;
    print((holds ? paint("  holds  ", green) : paint("  FAILS  ", red)) + words + "\n");
  };
  const double by_links = share(answers_by_links(with), with.ask.sent);
  check(by_links >= answered_limit,
        fmt::format("{} of /ask got an answer from some link (at least {:.0f} %)",
                    percent(by_links), answered_limit * 100));
  check(with.history.p99_ms < history_limit_ms,
        fmt::format("/history kept its p99 at {} ms (under {:.0f} ms), {} of {} lost",
                    milliseconds(with.history.p99_ms), history_limit_ms, with.history.lost,
                    with.history.sent));
  check(without.history.p99_ms >= history_limit_ms || without.history.lost != 0,
        fmt::format("unprotected, /history lost it: p99 {} ms, {} of {} lost",
                    milliseconds(without.history.p99_ms), without.history.lost,
                    without.history.sent));
  bool closed = with_status && !with_status->breakers.empty();
  std::string states = closed ? "" : " unknown";
  for (const breaker_status& b : with_status.value_or(protected_status{}).breakers) {
    closed = closed && b.state == "closed";
    states += fmt::format(" {} {},", b.name, b.state);
  }
  if (states.ends_with(',')) {
    states.pop_back();
  }
  check(closed, "the breakers ended closed:" + states);
  return all;
}

}  // namespace demo
