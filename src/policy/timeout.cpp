// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <holdfast/detail/format.hpp>
#include <holdfast/detail/make_layer.hpp>
#include <holdfast/detail/option_faults.hpp>
#include <holdfast/policy/timeout.hpp>

namespace holdfast::detail {

timeout_layer::timeout_layer(const timeout& options, bool around_attempts)
    : terms_{.name = options.name,
             .after = options.after,
             .code = around_attempts ? errc::total_timeout : errc::attempt_timeout,
             .cancellation = options.cancellation},
      grace_(options.mode == timeout_mode::detach ? options.grace : duration::zero()) {
  option_faults faults;
  faults.at_least("after", options.after, duration(1));
  faults.at_least("grace", options.grace, duration::zero());
  faults.at_least("max_detached", options.max_detached, 1);
  if (options.cancellation == boost::asio::cancellation_type::none) {
    faults.add("cancellation", "none", "must be a type that cancels");
  }
  faults.raise_if_any(options.name.empty() ? "timeout" : fmt::format("timeout '{}'", options.name));
  if (options.mode == timeout_mode::detach) {
    detach_ = std::make_shared<detach_state>(options.max_detached, options.grace, terms_);
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

void timeout_layer::take_leave(operation& op) const noexcept {
  const time_point mine = saturating_add(op.limit.at, grace_);
  if (op.limit.detach && saturating_add(op.limit.detach_at, op.limit.detach->grace) <= mine) return;
  op.limit.detach_at = op.limit.at;
  op.limit.detach = detach_.get();
}

step timeout_layer::refuse(operation& op) const noexcept {
  op.refuse({.code = errc::too_many_detached,
             .policy = policy_kind::timeout,
             .policy_name = &terms_.name});
  return step::refuse;
}

void timeout_layer::note_expiry(operation& op) const noexcept {
  const duration overrun = op.time().precise_now() - op.limit.at;
  const bool endless = grace_ > duration::max() - timeout_tolerance;
  overruns_.count(overrun, endless ? duration::max() : grace_ + timeout_tolerance);
}

timeout_snapshot timeout_layer::snapshot() const {
  timeout_snapshot s{};
  s.name = terms_.name;
  s.after = terms_.after;
  overruns_.fill(s);
  if (detach_) s.detached = detach_->running->load(std::memory_order_relaxed);
  return s;
}

void timeout_layer::describe(std::string& out) const {
  out += terms_.name.empty() ? "timeout" : fmt::format("timeout '{}'", terms_.name);
  out += fmt::format(": {} for {}", format_duration(terms_.after),
                     terms_.code == errc::total_timeout ? "all attempts" : "each attempt");
  if (detach_) {
    out += fmt::format(", then detach after {}, at most {} detached", format_duration(grace_),
                       detach_->limit);
  }
  using type = boost::asio::cancellation_type;
  if (terms_.cancellation == type::terminal) return;
  out += ", emits";
  const auto say = [&](type bit, const char* text) {
    if ((terms_.cancellation & bit) != type::none) out += text;
  };
  say(type::terminal, " terminal");
  say(type::partial, " partial");
  say(type::total, " total");
}

}  // namespace holdfast::detail
