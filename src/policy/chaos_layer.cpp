// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <holdfast/policy/chaos.hpp>

namespace holdfast::detail {

namespace {

/// The attempt fails, or is made after all.
step finish(const chaos_rule& rule, failure& fault) {
  if (!rule.fault) return step::go;
  fault = *rule.fault;
  return step::fault;
}

}  // namespace

step chaos_layer::strike(frame& f, operation& op) const {
  chaos_core::sentence s = core_->next(op.time().precise_now(), &op);
  op.start_edge_precisely();  // the predicate and the listeners have had their time
  const time_point now = op.now();
  if (!s.rule) return step::go;
  if (!s.rule->hang && s.delay <= duration::zero()) return finish(*s.rule, f.fault);
  op.prepare_wait();
  op.wait_until = s.rule->hang ? op.limit.at : std::min(op.limit.at, saturating_add(now, s.delay));
  f.rule = std::move(s.rule);
  return step::wait;
}

step chaos_layer::resumed(frame& f, operation& op, wait_end end) const {
  const auto rule = std::move(f.rule);
  if (end == wait_end::cancelled) {
    op.refuse({.code = errc::cancelled});
    return step::refuse;
  }
  if (op.now() >= op.limit.at) {
    f.fault = op.timeout_failure();
    return step::fault;
  }
  return finish(*rule, f.fault);
}

}  // namespace holdfast::detail
