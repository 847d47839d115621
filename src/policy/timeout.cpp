// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <holdfast/detail/format.hpp>
#include <holdfast/detail/make_layer.hpp>
#include <holdfast/detail/option_faults.hpp>
#include <holdfast/policy/timeout.hpp>

namespace holdfast::detail {

timeout_layer::timeout_layer(const timeout& options, bool around_attempts)
    : options_(options), code_(around_attempts ? errc::total_timeout : errc::attempt_timeout) {
  option_faults faults;
  faults.at_least("after", options.after, duration(1));
  faults.at_least("grace", options.grace, duration::zero());
  faults.at_least("max_detached", options.max_detached, 1);
  faults.raise_if_any("timeout");
  if (options.mode == timeout_mode::detach) {
    detach_ = std::make_shared<detach_state>(options.max_detached, options.grace, code_);
  }
}

void check_nested_timeouts(duration inner, duration outer) {
  if (inner <= outer) return;
  option_faults faults;
  faults.add("timeout.after", format_duration(outer),
             fmt::format("must not be shorter than the timeout inside it ({})",
                         format_duration(inner)));
  faults.raise_if_any("pipeline");
}

void check_detach_and_hedge(bool both) {
  if (!both) return;
  option_faults faults;
  faults.add("timeout.mode", "detach",
             "a hedge waits for the attempts that lost: use timeout_mode::cooperative with it");
  faults.raise_if_any("pipeline");
}

step timeout_layer::refuse(operation& op) const noexcept {
  op.refuse({.code = errc::too_many_detached, .policy = policy_kind::timeout});
  return step::refuse;
}

void timeout_layer::describe(std::string& out) const {
  out += fmt::format("timeout: {} for {}", format_duration(options_.after),
                     code_ == errc::total_timeout ? "all attempts" : "each attempt");
  if (detach_) {
    out += fmt::format(", then detach after {}, at most {} detached",
                       format_duration(options_.grace), options_.max_detached);
  }
}

}  // namespace holdfast::detail
