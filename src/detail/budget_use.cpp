// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
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

double budget_use::amplification(double unbounded) const {
  if (!core_) return unbounded;
  // In `tokens` mode there are no more retries than failures, and those use the tokens up as soon
  // as there are more than `token_ratio` for each success: the same bound as that of a ratio.
  // What a budget allows on top for services that are seldom called does not grow with the load.
  const retry_budget_options o = core_->options();
  const double extra = o.mode == budget_mode::ratio ? o.ratio : o.token_ratio;
  return std::min(unbounded, 1.0 + extra);
}

}  // namespace holdfast::detail
