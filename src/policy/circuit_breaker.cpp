// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <algorithm>
#include <holdfast/detail/format.hpp>
#include <holdfast/detail/option_faults.hpp>
#include <holdfast/policy/circuit_breaker.hpp>

namespace holdfast {

std::string_view to_string(breaker_state s) noexcept {
  switch (s) {
    case breaker_state::closed: return "closed";
    case breaker_state::open: return "open";
    case breaker_state::half_open: return "half_open";
    case breaker_state::isolated: return "isolated";
  }
  return "unknown";
}

std::string_view to_string(breaker_cause c) noexcept {
  switch (c) {
    case breaker_cause::consecutive_failures: return "consecutive_failures";
    case breaker_cause::failure_rate: return "failure_rate";
    case breaker_cause::open_time_over: return "open_time_over";
    case breaker_cause::probe_failed: return "probe_failed";
    case breaker_cause::probes_succeeded: return "probes_succeeded";
    case breaker_cause::isolated_by_hand: return "isolated_by_hand";
    case breaker_cause::reset_by_hand: return "reset_by_hand";
  }
  return "unknown";
}

namespace detail {

namespace {

circuit_breaker_options validated(circuit_breaker_options o) {
  option_faults faults;
  faults.between("failure_rate", o.failure_rate, 0.0, 1.0);
  faults.at_least("window", o.window, duration(10));
  faults.at_least("minimum_calls", o.minimum_calls, 1);
  faults.at_least("open_for", o.open_for, duration(1));
  faults.between("half_open_probes", o.half_open_probes, 1, 10'000);
  faults.at_least("successes_to_close", o.successes_to_close, 1);
  faults.at_least("probe_lease", o.probe_lease, duration(1));
  if (o.consecutive_failures == 0 && o.failure_rate == 0.0) {
    faults.add("consecutive_failures", "0",
               "no rule can open the circuit: set it or failure_rate above zero");
  }
  faults.raise_if_any(o.name.empty() ? "circuit breaker"
                                     : fmt::format("circuit breaker '{}'", o.name));
  return o;
}

bool is_bad(verdict v) noexcept {
  return v == verdict::failure || v == verdict::slow || v == verdict::overloaded;
}

}  // namespace

breaker_core::breaker_core(circuit_breaker_options options)
    : options_(validated(std::move(options))),
      rated_(options_.failure_rate > 0.0),
      window_(rated_ ? options_.window : duration::zero()),
      probes_(options_.half_open_probes) {}

bool breaker_core::try_enter_slow(breaker_permit& permit, std::uint64_t word, time_point now) {
  const bool surely_open = state_of(word) == breaker_state::open &&
                           now.time_since_epoch().count() <
                               open_until_.load(std::memory_order_relaxed);
  if (surely_open || state_of(word) == breaker_state::isolated) {
    refused_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  bool admitted = true;
  {
    const std::lock_guard lock(mutex_);
    word = word_.load(std::memory_order_relaxed);
    switch (state_of(word)) {
      case breaker_state::closed:
        permit = {word, 0};
        break;
      case breaker_state::open:
        if (now.time_since_epoch().count() < open_until_.load(std::memory_order_relaxed)) {
          admitted = false;
          break;
        }
        change_locked(breaker_state::half_open, breaker_cause::open_time_over, now);
        [[fallthrough]];
      case breaker_state::half_open:
        admitted = reserve_probe_locked(permit, now);
        break;
      case breaker_state::isolated:
        admitted = false;
        break;
    }
  }
  events_.deliver();
  if (!admitted) refused_.fetch_add(1, std::memory_order_relaxed);
  return admitted;
}

bool breaker_core::reserve_probe_locked(breaker_permit& permit, time_point now) {
  const auto place = std::ranges::find_if(
      probes_, [now](const probe_place& p) { return p.probe == 0 || p.lease_ends <= now; });
  if (place == probes_.end()) return false;
  *place = {++last_probe_, saturating_add(now, options_.probe_lease)};
  permit = {word_.load(std::memory_order_relaxed), place->probe};
  return true;
}

void breaker_core::leave_slow(const breaker_permit& permit, verdict v, time_point now) {
  if (permit.probe != 0) {
    end_probe(permit, v, now);
  } else if (is_bad(v) && word_.load(std::memory_order_acquire) == permit.word) {
    count_bad(permit.word, now);
  }
}

void breaker_core::count_bad(std::uint64_t word, time_point now) {
  if (rated_) window_.add_bad(now);
  const unsigned in_a_row = consecutive_.fetch_add(1, std::memory_order_relaxed) + 1;
  if (options_.consecutive_failures != 0 && in_a_row >= options_.consecutive_failures) {
    trip(word, breaker_cause::consecutive_failures, now);
  } else if (rated_) {
    judge_rate(word, now);
  }
}

void breaker_core::judge_rate(std::uint64_t word, time_point now) {
  const auto c = window_.sum(now);
  if (c.total() < options_.minimum_calls) return;
  if (static_cast<double>(c.bad) < options_.failure_rate * static_cast<double>(c.total())) return;
  trip(word, breaker_cause::failure_rate, now);
}

void breaker_core::end_probe(const breaker_permit& permit, verdict v, time_point now) {
  {
    const std::lock_guard lock(mutex_);
    // A probe of an earlier half-open period, or one that lost its place, has no say.
    if (word_.load(std::memory_order_relaxed) != permit.word) return;
    const auto place = std::ranges::find(probes_, permit.probe, &probe_place::probe);
    if (place == probes_.end()) return;
    *place = {};
    if (v == verdict::success) {
      if (++probe_successes_ >= options_.successes_to_close) {
        change_locked(breaker_state::closed, breaker_cause::probes_succeeded, now);
      }
    } else if (is_bad(v)) {
      change_locked(breaker_state::open, breaker_cause::probe_failed, now);
    }
  }
  events_.deliver();
}

void breaker_core::trip(std::uint64_t word, breaker_cause cause, time_point now) {
  {
    const std::lock_guard lock(mutex_);
    // Of several calls that see the rule broken, one opens the circuit.
    if (word_.load(std::memory_order_relaxed) != word) return;
    change_locked(breaker_state::open, cause, now);
  }
  events_.deliver();
}

void breaker_core::change_locked(breaker_state to, breaker_cause cause, time_point now) {
  const std::uint64_t word = word_.load(std::memory_order_relaxed);
  const std::uint64_t generation = generation_of(word) + 1;
  std::ranges::fill(probes_, probe_place{});
  probe_successes_ = 0;
  consecutive_.store(0, std::memory_order_relaxed);
  if (rated_) window_.clear();
  if (to == breaker_state::open) {
    open_until_.store(saturating_add(now, options_.open_for).time_since_epoch().count(),
                      std::memory_order_relaxed);
  }
  word_.store(generation << state_bits | static_cast<std::uint64_t>(to), std::memory_order_release);
  if (state_of(word) != to) {
    events_.push({options_.name, state_of(word), to, cause, now, generation});
  }
}

duration breaker_core::remaining_open(time_point now) const noexcept {
  if (state() != breaker_state::open) return duration::zero();
  const time_point until{duration(open_until_.load(std::memory_order_relaxed))};
  return std::max(until - now, duration::zero());
}

breaker_snapshot breaker_core::snapshot(time_point now) const {
  const auto counts = window_.sum(now);
  breaker_snapshot s{};
  {
    const std::lock_guard lock(mutex_);
    const std::uint64_t word = word_.load(std::memory_order_relaxed);
    s.state = state_of(word);
    s.generation = generation_of(word);
    s.probes_in_flight = static_cast<unsigned>(
        std::ranges::count_if(probes_, [](const probe_place& p) { return p.probe != 0; }));
    s.probe_successes = probe_successes_;
  }
  s.consecutive_failures = consecutive_.load(std::memory_order_relaxed);
  s.calls_in_window = counts.total();
  s.bad_in_window = counts.bad;
  s.remaining_open = remaining_open(now);
  s.refused = refused_.load(std::memory_order_relaxed);
  s.listener_errors = events_.errors();
  return s;
}

void breaker_core::isolate(time_point now) {
  {
    const std::lock_guard lock(mutex_);
    if (state() == breaker_state::isolated) return;
    change_locked(breaker_state::isolated, breaker_cause::isolated_by_hand, now);
  }
  events_.deliver();
}

void breaker_core::reset(time_point now) {
  {
    const std::lock_guard lock(mutex_);
    change_locked(breaker_state::closed, breaker_cause::reset_by_hand, now);
  }
  events_.deliver();
}

subscription breaker_core::on_transition(std::function<void(const breaker_transition&)> listener) {
  return events_.subscribe(std::move(listener));
}

void breaker_core::describe(std::string& out) const {
  const auto& o = options_;
  out += fmt::format("circuit_breaker '{}': opens", o.name);
  if (o.consecutive_failures != 0) {
    out += fmt::format(" after {} failures in a row", o.consecutive_failures);
  }
  if (rated_) {
    out += fmt::format("{} at {:g} % failures of at least {} calls within {}",
                       o.consecutive_failures != 0 ? " or" : "", o.failure_rate * 100,
                       o.minimum_calls, format_duration(o.window));
  }
  out += fmt::format(" for {}; {} at a time as probe, leased for {}, {} in a row close it",
                     format_duration(o.open_for), o.half_open_probes,
                     format_duration(o.probe_lease), o.successes_to_close);
}

step breaker_layer::refuse(operation& op) const {
  const bool isolated = core_->state() == breaker_state::isolated;
  const duration remaining = core_->remaining_open(op.now());
  op.refuse({.code = isolated ? errc::circuit_isolated : errc::circuit_open,
             .policy = policy_kind::circuit_breaker,
             .policy_name = &core_->name(),
             .retry_after = remaining > duration::zero() ? remaining : duration(-1)});
  return step::refuse;
}

}  // namespace detail
}  // namespace holdfast
