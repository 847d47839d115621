// SPDX-License-Identifier: BSL-1.0
#include "table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/version.hpp>
#include <cmath>
#include <utility>

namespace bench {

namespace {

double median(std::vector<double> v) {
  if (v.empty()) return 0;
  std::ranges::sort(v);
  return v[v.size() / 2];
}

/// 8.3, 167, 1,605
std::string number(double n) {
  if (std::abs(n) < 9.95) return fmt::format("{:.1f}", n);
  std::string s = fmt::format("{:.0f}", n);
  for (auto end = std::ssize(s) - 3; end > (n < 0 ? 1 : 0); end -= 3) {
    s.insert(static_cast<std::size_t>(end), ",");
  }
  return s;
}

/// The least and the most of all repetitions.
std::string spread(const std::vector<double>& v) {
  const auto [least, most] = std::ranges::minmax(v);
  return number(least) + " to " + number(most);
}

std::string allocations(double n) {
  return fmt::format("{:.{}f}", n, std::abs(n - std::round(n)) < 0.005 ? 0 : 2);
}

/// Asio's own timeout on the executor that a row runs on, of which the suffix of its name tells.
std::string_view reference(std::string_view name) {
  if (name.ends_with("_strand")) return "asio_cancel_after_strand";
  if (name.ends_with("_four_threads")) return "asio_cancel_after_four_threads";
  if (name.ends_with("_threads")) return "asio_cancel_after_threads";
  return "asio_cancel_after";
}

/// The README's rows, and what it says of them.
constexpr std::pair<std::string_view, std::string_view> readme_rows[] = {
    {"empty", "a pipeline without policies"},
    {"timeout", "one policy around a call that returns immediately"},
    {"retry", "the same"},
    {"circuit_breaker", "the same, with a failure rate over a window"},
    {"bulkhead", "the same"},
    {"fallback", "the same"},
    {"five_ready", "all five around a call that returns immediately"},
    {"five_context",
     "all five around a call that suspends once and awaits with the context's token"},
    {"five_opaque", "all five around an awaitable that suspends once and takes no token"},
    {"five_context_strand", "`five_context` on a strand"},
    {"five_opaque_strand", "`five_opaque` on a strand"},
    {"five_context_threads", "`five_context` on a context without a concurrency hint"},
    {"five_opaque_threads", "`five_opaque` on a context without a concurrency hint"},
    {"five_context_four_threads", "the same, and four threads run the context"},
    {"five_opaque_four_threads", "the same, and four threads run the context"},
    {"open_reject", "a call rejected by an open circuit"},
    {"bulkhead_full_reject", "a call rejected by a full bulkhead"},
    {"asio_cancel_after",
     "for comparison: `asio::cancel_after` alone, in a server with other timers"},
    {"asio_cancel_after_strand", "for comparison: the same on a strand"},
    {"asio_cancel_after_threads",
     "for comparison: the same with a strand for each call, on a context without a concurrency "
     "hint"},
    {"asio_cancel_after_four_threads",
     "for comparison: the same, and four threads run the context"},
    {"asio_or_timer", "for comparison: `call \\|\\| timer`"},
    {"asio_cancel_after_idle", "`asio_cancel_after` in a program with no other timer"},
    {"asio_or_timer_idle", "`asio_or_timer` in a program with no other timer"},
};

template <class Run>
bool failed(const Run& run) {
  if constexpr (requires { run.error_occurred; }) {
    return run.error_occurred;
  } else {
    return static_cast<bool>(run.skipped);  // Google Benchmark 1.8 and newer
  }
}

std::string compiler() {
#if defined(__clang__)
  return fmt::format("Clang {}", __clang_major__);
#else
  return fmt::format("GCC {}", __GNUC__);
#endif
}

}  // namespace

void table::ReportRuns(const std::vector<Run>& runs) {
  for (const Run& run : runs) {
    if (run.run_type != Run::RT_Iteration) continue;
    const std::string& name = run.run_name.function_name;
    if (failed(run)) {
      fmt::print(stderr, "bench: {} failed\n", name);
      failed_ = true;
      continue;
    }
    row& r = rows_[name];
    r.others.clear();
    bool timed = false;
    for (const auto& [counter, value] : run.counters) {
      if (counter == "added_ns") {
        r.added.push_back(value);
        timed = true;
      } else if (counter == "bare_ns") {
        r.bare.push_back(value);
      } else if (counter == "allocs_per_op") {
        r.allocations = std::max(r.allocations, static_cast<double>(value));
      } else if (counter == "items_per_second") {
        r.per_second.push_back(value);
      } else {
        r.others += fmt::format("  {} {}", counter, number(value));
      }
    }
    if (!timed) r.added.push_back(run.GetAdjustedRealTime());
  }
}

void table::Finalize() {
  if (form_ == form::readme) {
    print_readme();
  } else {
    print_terminal();
  }
}

const table::row* table::find(std::string_view name) const {
  const auto found = rows_.find(name);
  return found == rows_.end() ? nullptr : &found->second;
}

std::optional<double> table::share(std::string_view name, const row& r) const {
  const row* asio = find(reference(name));
  if (!asio || r.bare.empty()) return std::nullopt;
  return median(r.added) / median(asio->added);
}

std::vector<std::string_view> table::order() const {
  std::vector<std::string_view> names;
  for (const auto& [name, what] : readme_rows) {
    if (find(name)) names.push_back(name);
  }
  for (const auto& [name, r] : rows_) {
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  }
  return names;
}

void table::print_terminal() const {
  fmt::print("{:32} {:>9}  {:>16}  {:>7}  {:>6}  {:>7}\n", "row", "added ns", "spread", "of Asio",
             "allocs", "bare ns");
  for (const auto name : order()) {
    const row& r = *find(name);
    const auto part = share(name, r);
    fmt::print("{:32} {:>9}  {:>16}  {:>7}  {:>6}  {:>7}", name, number(median(r.added)),
               spread(r.added), part ? fmt::format("{:.2f}", *part) : "", allocations(r.allocations),
               r.bare.empty() ? "" : number(median(r.bare)));
    if (!r.per_second.empty()) fmt::print("  {} million/s", number(median(r.per_second) / 1e6));
    fmt::print("{}\n", r.others);
  }
}

void table::print_readme() const {
  fmt::print("| row | what | added ns | spread | of Asio's | allocations |\n|---|---|---|---|---|---|\n");
  for (const auto& [name, what] : readme_rows) {
    const row* r = find(name);
    if (!r) continue;
    const auto part = share(name, *r);
    fmt::print("| `{}` | {} | {} | {} | {} | {} |\n", name, what, number(median(r->added)),
               spread(r->added), part ? fmt::format("{:.2f}", *part) : "-",
               allocations(r->allocations));
  }
  print_more_policies();
  print_shared_by_threads();
  const row* ready = find("five_ready");
  const row* suspending = find("five_context");
  fmt::print("\nFigures of `scripts/bench --table` with {} and Boost {}.{}.", compiler(),
             BOOST_VERSION / 100'000, BOOST_VERSION / 100 % 1'000);
  if (ready && suspending) {
    fmt::print(" A bare call took {} ns, and {} ns if it suspended once.",
               number(median(ready->bare)), number(median(suspending->bare)));
  }
  fmt::print("\n");
}

void table::print_more_policies() const {
  const row* breaker = find("breaker_after_first");
  const row* bulkhead = find("bulkhead_after_first");
  const row* limiter = find("limiter_after_first");
  const row* budget = find("budget_after_first");
  if (!breaker || !bulkhead || !limiter || !budget) return;
  const auto added = [](const row* r) { return number(median(r->added)); };
  fmt::print(
      "\nOne more policy, in a pipeline that has one: a circuit breaker adds {} ns, a bulkhead {}, a\n"
      "rate limiter {}, a retry budget {}.\n",
      added(breaker), added(bulkhead), added(limiter), added(budget));
}

void table::print_shared_by_threads() const {
  const auto say = [this](std::string_view policy, std::string_view row_name) {
    const row* one = find(fmt::format("{}_1_thread", row_name));
    const row* two = find(fmt::format("{}_2_threads", row_name));
    const row* apart = find(fmt::format("{}_apart_2_threads", row_name));
    if (!one || !two || !apart) return;
    const auto millions = [](const row* r) { return number(median(r->per_second) / 1e6); };
    fmt::print(
        "\nOne {} serves {} million calls a second from one thread and {} million from two\n"
        "({} million if each thread has its own).\n",
        policy, millions(one), millions(two), millions(apart));
  };
  say("circuit breaker", "breaker");
  say("retry budget", "budget");
}

}  // namespace bench
