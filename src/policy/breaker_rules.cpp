// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <holdfast/detail/breaker_rules.hpp>
#include <holdfast/detail/call_ring.hpp>
#include <holdfast/detail/calls_in_flight.hpp>
#include <holdfast/detail/failure_window.hpp>
#include <holdfast/detail/format.hpp>
#include <holdfast/detail/option_faults.hpp>
#include <holdfast/detail/share.hpp>

namespace holdfast {

std::vector<recovery_step> recovery_ramp::tenths() {
  std::vector<recovery_step> steps;
  for (int tenth = 1; tenth <= 10; ++tenth) steps.push_back({.share = tenth / 10.0});
  return steps;
}

namespace detail {

namespace {

bool needs_window(const circuit_breaker_options& o) {
  return o.failure_rate > 0.0 || o.slow_rate > 0.0 || o.opens_if;
}

/// A window whose buckets are the spans of the calls in flight.
duration spans_of(duration slow_after) {
  const duration span = std::clamp(slow_after / calls_in_flight::spans_in_limit, duration(1),
                                   duration::max() / window_clock::buckets);
  return span * window_clock::buckets;
}

void check_share(option_faults& faults, std::string_view option, double value) {
  if (!(value > 0.0 && value <= 1.0)) {
    faults.add(option, fmt::format("{}", value), "must be more than 0 and at most 1");
  }
}

void check_recovery(option_faults& faults, const recovery_ramp& ramp) {
  if (ramp.steps.empty() || ramp.steps.size() > 100) {
    faults.add("recovery.steps", fmt::format("{} steps", ramp.steps.size()),
               "must be 1 to 100 steps");
  }
  for (std::size_t i = 0; i < ramp.steps.size(); ++i) {
    const auto option = [i](std::string_view name) {
      return fmt::format("recovery.steps[{}].{}", i, name);
    };
    const recovery_step& s = ramp.steps[i];
    check_share(faults, option("share"), s.share);
    faults.at_least(option("minimum_calls"), s.minimum_calls, 1);
    check_share(faults, option("failure_rate"), s.failure_rate);
    faults.at_least(option("at_least"), s.at_least, duration::zero());
  }
}

void check_options(const circuit_breaker_options& o, breaker_size size) {
  option_faults faults;
  faults.between("failure_rate", o.failure_rate, 0.0, 1.0);
  faults.between("slow_rate", o.slow_rate, 0.0, 1.0);
  faults.at_least("slow_after", o.slow_after, duration::zero());
  faults.at_least("window", o.window, duration(window_clock::buckets));
  if (o.window_calls > call_ring::most) faults.between("window_calls", o.window_calls, 0, 10'000);
  faults.at_least("minimum_calls", o.minimum_calls, 1);
  if (o.window_calls != 0 && o.minimum_calls > o.window_calls) {
    faults.add("minimum_calls", fmt::format("{}", o.minimum_calls),
               fmt::format("must be at most window_calls ({})", o.window_calls));
  }
  faults.at_least("open_for", o.open_for, duration(1));
  faults.between("open_growth", o.open_growth, 1.0, 1000.0);
  if (o.open_growth > 1.0) faults.at_least("max_open_for", o.max_open_for, o.open_for);
  faults.between("open_jitter", o.open_jitter, 0.0, 1.0);
  faults.at_least("max_retry_after", o.max_retry_after, duration::zero());
  faults.between("half_open_probes", o.half_open_probes, 1, 10'000);
  faults.at_least("successes_to_close", o.successes_to_close, 1);
  check_share(faults, "half_open_failure_rate", o.half_open_failure_rate);
  faults.at_least("probe_timeout", o.probe_timeout, duration::zero());
  faults.at_least("probe_lease", o.probe_lease, duration(1));
  if (o.recovery) check_recovery(faults, *o.recovery);
  if (o.consecutive_failures == 0 && !needs_window(o)) {
    faults.add("consecutive_failures", "0",
               "no rule can open the circuit: set it, failure_rate, slow_rate or opens_if");
  }
  if (size == breaker_size::compact) {
    if (o.window_calls != 0) {
      faults.add("window_calls", fmt::format("{}", o.window_calls),
                 "must be 0 for a family of keys");
    }
    if (o.minimum_calls > packed_window::most_calls) {
      faults.add("minimum_calls", fmt::format("{}", o.minimum_calls),
                 fmt::format("must be at most {} for a family of keys", packed_window::most_calls));
    }
  }
  faults.raise_if_any(o.name.empty() ? "circuit breaker"
                                     : fmt::format("circuit breaker '{}'", o.name));
}

}  // namespace

breaker_rules::breaker_rules(circuit_breaker_options o, breaker_size size)
    : clock((check_options(o, size), o.window)),
      name_(o.name),
      size_(size),
      spans_(spans_of(o.slow_after)) {
  change(std::move(o));
}

void breaker_rules::check(const circuit_breaker_options& o) const {
  check_options(o, size_);
  if (o.name != name_) {
    option_faults faults;
    faults.add("name", fmt::format("'{}'", o.name), "cannot be changed");
    faults.raise_if_any(fmt::format("circuit breaker '{}'", name_));
  }
}

void breaker_rules::change(circuit_breaker_options o) {
  auto made = std::make_shared<const circuit_breaker_options>(std::move(o));
  set(*made);
  const std::lock_guard lock(mutex_);
  options_.swap(made);
}

void breaker_rules::set(const circuit_breaker_options& o) noexcept {
  const auto relaxed = std::memory_order_relaxed;
  consecutive_.store(o.consecutive_failures, relaxed);
  failure_rate_.store(o.failure_rate, relaxed);
  slow_rate_.store(o.slow_rate, relaxed);
  if (o.slow_after != slow_after()) spans_.change(spans_of(o.slow_after));
  slow_after_.store(o.slow_after.count(), relaxed);
  minimum_calls_.store(o.minimum_calls, relaxed);
  slow_is_bad_.store(o.slow_counts_as_failure, relaxed);
  slow_probe_is_bad_.store(o.slow_counts_as_failure || o.slow_rate > 0.0, relaxed);
  jittered_.store(o.open_jitter > 0.0, relaxed);
  predicate_.store(static_cast<bool>(o.opens_if), relaxed);
  rated_.store(needs_window(o), relaxed);
}

void breaker_rules::reconfigure(circuit_breaker_options o) {
  check(o);
  clock.change(o.window);
  change(std::move(o));
}

breaker_window breaker_rules::view(const window_counts& counts, std::uint64_t hanging,
                                   unsigned in_a_row) noexcept {
  return {.calls = counts.total() + hanging,
          .failed = counts.all_failed(),
          .slow = counts.all_slow() + hanging,
          .bad = counts.bad() + hanging,
          .hanging = hanging,
          .consecutive_failures = in_a_row};
}

std::optional<breaker_cause> breaker_rules::broken(const breaker_window& w) {
  const auto reached = [&w](const sync::atomic<double>& rate, std::uint64_t count) {
    const double limit = rate.load(std::memory_order_relaxed);
    return limit > 0.0 && count > 0 && reaches(count, w.calls, limit);
  };
  const bool union_rate = slow_is_bad_.load(std::memory_order_relaxed);
  if (reached(failure_rate_, union_rate ? w.bad : w.failed)) return breaker_cause::failure_rate;
  if (reached(slow_rate_, w.slow)) return breaker_cause::slow_rate;
  if (has_predicate()) {
    const options_ptr o = options();
    try {
      if (o->opens_if && o->opens_if(w)) return breaker_cause::predicate;
    } catch (...) {
      predicate_errors_.fetch_add(1, std::memory_order_relaxed);
    }
  }
  return std::nullopt;
}

std::optional<call_kind> kind_of(verdict v, bool slow) noexcept {
  switch (v) {
    case verdict::success: return slow ? call_kind::slow : call_kind::good;
    case verdict::slow: return call_kind::slow;
    case verdict::failure:
    case verdict::overloaded: return slow ? call_kind::failed_slow : call_kind::failed;
    case verdict::throttled:
    case verdict::request_fault:
    case verdict::neutral: break;
  }
  return std::nullopt;
}

duration open_time(const circuit_breaker_options& o, unsigned reopened, std::uint64_t random) {
  double t = static_cast<double>(o.open_for.count());
  if (o.open_growth > 1.0 && reopened > 0) {
    t = std::min(t * std::pow(o.open_growth, reopened),
                 static_cast<double>(o.max_open_for.count()));
  }
  duration d = t < static_cast<double>(duration::max().count())
                   ? std::max(duration(static_cast<duration::rep>(t)), o.open_for)
                   : duration::max();
  if (o.open_jitter > 0.0) {
    const double chance = static_cast<double>(random >> 11) * 0x1p-53;
    d -= duration(
        static_cast<duration::rep>(static_cast<double>(d.count()) * o.open_jitter * chance));
  }
  return std::max(d, duration(1));
}

void describe_breaker(std::string& out, const circuit_breaker_options& o) {
  auto rule = [&out, first = true](std::string text) mutable {
    out += first ? " " : " or ";
    first = false;
    out += text;
  };
  out += fmt::format("circuit_breaker '{}': opens", o.name);
  if (o.consecutive_failures != 0) {
    rule(fmt::format("after {} failures in a row", o.consecutive_failures));
  }
  const std::string window =
      o.window_calls != 0
          ? fmt::format(" of at least {} of the last {} calls", o.minimum_calls, o.window_calls)
          : fmt::format(" of at least {} calls within {}", o.minimum_calls,
                        format_duration(o.window));
  if (o.failure_rate > 0.0) rule(fmt::format("at {:g} % failures{}", o.failure_rate * 100, window));
  if (o.slow_rate > 0.0) rule(fmt::format("at {:g} % slow calls{}", o.slow_rate * 100, window));
  if (o.opens_if) rule("as a predicate says" + window);
  out += fmt::format(" for {}", format_duration(o.open_for));
  if (o.open_growth > 1.0) {
    out += fmt::format(", each time {:g} times longer up to {}", o.open_growth,
                       format_duration(o.max_open_for));
  }
  if (o.open_jitter > 0.0) out += fmt::format(", of which {:g} % are random", o.open_jitter * 100);
  if (o.max_retry_after == duration::zero()) {
    out += ", retry-after ignored";
  } else if (o.max_retry_after != circuit_breaker_options().max_retry_after) {
    out += fmt::format(", retry-after up to {}", format_duration(o.max_retry_after));
  }
  if (o.slow_after > duration::zero()) {
    out += fmt::format("; slow after {}", format_duration(o.slow_after));
  }
  if (!o.slow_counts_as_failure) out += "; slow calls are no failures";
  out += fmt::format("; {} at a time as probe, leased for {}", o.half_open_probes,
                     format_duration(o.probe_lease));
  if (o.probe_timeout > duration::zero()) {
    out += fmt::format(", timeout {}", format_duration(o.probe_timeout));
  }
  if (o.half_open_calls != 0) {
    out += fmt::format(", {} of them close it below {:g} % failures", o.half_open_calls,
                       o.half_open_failure_rate * 100);
  } else {
    out += fmt::format(", {} in a row close it", o.successes_to_close);
  }
  if (!o.recovery) return;
  out += "; then in steps:";
  for (const recovery_step& s : o.recovery->steps) {
    out += fmt::format(" {:g} % for {} and {} calls below {:g} % failures,", s.share * 100,
                       format_duration(s.at_least), s.minimum_calls, s.failure_rate * 100);
  }
  out += o.recovery->failed_step == recovery_ramp::on_failure::open
             ? " opening on a failed step"
             : " back one step on a failed one";
}

}  // namespace detail
}  // namespace holdfast
