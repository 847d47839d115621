// SPDX-License-Identifier: BSL-1.0
#include <holdfast/detail/budget_use.hpp>

namespace holdfast::detail {

bool budget_use::reserve_from(operation& op) const {
  if (core_->try_reserve(op.now())) return true;
  if (op.options.ledger) {
    op.refuse({.code = errc::budget_exhausted,
               .policy = policy_kind::retry_budget,
               .policy_name = &core_->name()});
    op.record_refusal();
  }
  return false;
}

void budget_use::describe(std::string& out) const {
  if (!core_) return;
  out += "; ";
  core_->describe(out);
}

}  // namespace holdfast::detail
