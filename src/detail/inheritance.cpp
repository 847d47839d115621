// SPDX-License-Identifier: BSL-1.0
#include <holdfast/detail/inheritance.hpp>
#include <holdfast/detail/runner.hpp>

namespace holdfast::detail {

namespace {

/// The operation that runs the hedge; null if this one is not below a hedge.
operation* hedged_by(const operation& op) noexcept {
  const operation_role role = op.options.role;
  return role == operation_role::hedge_attempt || role == operation_role::further_hedge_attempt
             ? static_cast<attempt_context*>(op.options.parent)->whole()
             : nullptr;
}

}  // namespace

call_options options_for_part(const operation& op, operation_role role, call_context& within) {
  // Whose call it is comes from the parent, as for any nested operation.
  return {.ledger = op.options.ledger,
          .idempotent = op.idempotent(),
          .role = role,
          .cost = op.options.cost,
          .weight = op.options.weight,
          .cache_key = op.options.cache_key,
          .parent = &within};
}

kept_options::kept_options(const operation& op)
    : tenant_(op.tenant()),
      session_(op.session()),
      cost_(op.options.cost),
      weight_(op.options.weight),
      priority_(op.priority()),
      idempotent_(op.idempotent()) {
  if (op.tags()) tags_.emplace(*op.tags());
}

call_options kept_options::get(time_point deadline) const {
  return {.deadline = deadline,
          .idempotent = idempotent_,
          .cost = cost_,
          .priority = priority_,
          .weight = weight_,
          .tags = tags_ ? &*tags_ : nullptr,
          .tenant = tenant_,
          .session = session_};
}

void take_over_from_parent(operation& op) {
  op.inherit(*op.options.parent);
  op.expect_attempt();
}

void hand_back_to_parent(operation& op) noexcept {
  op.options.parent->charge(op);
  // The caller may have cancelled while this operation listened in place of its parent.
  if (!!op.coroutine.cancelled()) op.tell_parent();
  if (op.options.role == operation_role::link) {
    static_cast<operation*>(op.options.parent)->made_elsewhere += op.calls_made();
  } else if (operation* const whole = hedged_by(op); whole && op.ended_by_deadline()) {
    (op.cut_short ? whole->cut_short : whole->had_its_time) = true;
  }
}

unsigned number_in_whole(operation& op) noexcept {
  operation* const whole = hedged_by(op);
  return whole ? whole->number_attempt() : op.attempts_started;
}

unsigned next_number(const operation& op) noexcept {
  const operation* const whole = hedged_by(op);
  return whole ? next_number(*whole) : op.attempts_started + 1;
}

}  // namespace holdfast::detail
