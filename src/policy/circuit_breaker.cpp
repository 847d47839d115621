// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <holdfast/detail/probe_deadline.hpp>
#include <holdfast/policy/circuit_breaker.hpp>

namespace holdfast {

circuit_breaker::circuit_breaker(options o, time_point born)
    : core_(std::make_shared<detail::breaker_core>(std::move(o), born)) {}

std::string_view to_string(breaker_state s) noexcept {
  switch (s) {
    case breaker_state::closed: return "closed";
    case breaker_state::open: return "open";
    case breaker_state::half_open: return "half_open";
    case breaker_state::isolated: return "isolated";
    case breaker_state::recovering: return "recovering";
    case breaker_state::disabled: return "disabled";
    case breaker_state::metrics_only: return "metrics_only";
  }
  return "unknown";
}

std::string_view to_string(breaker_cause c) noexcept {
  switch (c) {
    case breaker_cause::consecutive_failures: return "consecutive_failures";
    case breaker_cause::failure_rate: return "failure_rate";
    case breaker_cause::slow_rate: return "slow_rate";
    case breaker_cause::predicate: return "predicate";
    case breaker_cause::open_time_over: return "open_time_over";
    case breaker_cause::probe_failed: return "probe_failed";
    case breaker_cause::probes_succeeded: return "probes_succeeded";
    case breaker_cause::step_passed: return "step_passed";
    case breaker_cause::step_failed: return "step_failed";
    case breaker_cause::isolated_by_hand: return "isolated_by_hand";
    case breaker_cause::disabled_by_hand: return "disabled_by_hand";
    case breaker_cause::observed_by_hand: return "observed_by_hand";
    case breaker_cause::reset_by_hand: return "reset_by_hand";
  }
  return "unknown";
}

namespace detail {

namespace {

breaker_outcome outcome_of(const breaker_core& core, const operation& op, time_point now) {
  return {.now = now,
          .retry_after = op.retry_after,
          .random = core.rules().jittered() ? op.random() : 0,
          .clock = &op.time()};
}

}  // namespace

step breaker_layer::refuse(operation& op) const {
  const bool isolated = core_->state() == breaker_state::isolated;
  const duration remaining = core_->remaining_open(op.now());
  op.refuse({.code = isolated ? errc::circuit_isolated : errc::circuit_open,
             .policy = policy_kind::circuit_breaker,
             .policy_name = &core_->name(),
             .retry_after = remaining > duration::zero() ? remaining : duration(-1)});
  return step::refuse;
}

void breaker_layer::narrow(breaker_permit& permit, operation& op) const {
  op.start_edge_precisely();  // listeners may have been told that the circuit is half-open
  narrow_probe(permit, op, *core_->rules().options());
}

void breaker_layer::judge(const breaker_permit& permit, operation& op) const {
  const std::uint64_t generation = core_->generation();
  core_->judge(permit.word, outcome_of(*core_, op, op.time().precise_now()));
  if (core_->generation() != generation) op.start_edge_precisely();
}

void breaker_layer::leave_slow(const breaker_permit& permit, operation& op, verdict v) const {
  const std::uint64_t generation = core_->generation();
  widen_probe(permit, op);
  core_->leave_slow(permit, op.of_service(v), outcome_of(*core_, op, op.now()));
  // Listeners have had their time.
  if (core_->generation() != generation) op.start_edge_precisely();
}

}  // namespace detail
}  // namespace holdfast
