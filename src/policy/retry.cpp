// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <holdfast/detail/format.hpp>
#include <holdfast/detail/option_faults.hpp>
#include <holdfast/detail/uniform.hpp>
#include <holdfast/policy/retry.hpp>

namespace holdfast::detail {

retry_layer::retry_layer(retry options)
    : options_(std::move(options)),
      bounds_elapsed_(options_.max_elapsed > duration::zero() ||
                      options_.wait_for_circuit > duration::zero()),
      budget_(options_.budget) {
  option_faults faults;
  faults.at_least("max_attempts", options_.max_attempts, 1);
  faults.at_least("max_elapsed", options_.max_elapsed, duration::zero());
  faults.at_least("max_retry_after", options_.max_retry_after, duration::zero());
  faults.at_least("wait_for_circuit", options_.wait_for_circuit, duration::zero());
  faults.at_least("wait.base", options_.wait.base, duration::zero());
  faults.at_least("wait.cap", options_.wait.cap, std::max(options_.wait.base, duration::zero()));
  faults.between("wait.factor", options_.wait.factor, 1.0, 1e6);
  faults.raise_if_any(options_.name.empty() ? "retry" : fmt::format("retry '{}'", options_.name));
}

namespace {

/// Failures from before anything was sent: to repeat them cannot do the call's work twice.
bool is_before_sending(const failure* f) {
  if (!f) return false;
  const auto& c = f->code();
  return c == boost::asio::error::connection_refused || c == boost::asio::error::host_unreachable ||
         c == boost::asio::error::network_unreachable || c == boost::asio::error::host_not_found ||
         c == boost::asio::error::host_not_found_try_again;
}

}  // namespace

bool retry_layer::repeats(operation& op, verdict v) const {
  if (v != verdict::failure && v != verdict::throttled && v != verdict::overloaded) return false;
  if (!op.idempotent() && !is_before_sending(op.error)) return false;
  if (!options_.only_if) return true;
  bool wanted = false;
  try {
    wanted = options_.only_if(op.error, v);
  } catch (...) {
  }
  op.start_edge_precisely();  // the delay begins after it
  return wanted;
}

step retry_layer::consider(frame& f, operation& op, verdict v) const {
  if (!op.caller_cancelled()) {
    if (f.attempt < options_.max_attempts && repeats(op, v) && repeat(f, op)) {
      f.failed = f.failed || !op.cut_short;
      return step::again;
    }
    if (v == verdict::neutral && wait_for_circuit(f, op)) return step::again;
  }
  // Where the last attempt was cut short, one before it that was not has told of the service.
  if (f.failed) op.cut_short = false;
  budget_.on_failure(op.of_service(v));
  return step::go;
}

/// Decides for another attempt, and takes it out of the budget, unless there is no time for it.
bool retry_layer::repeat(frame& f, operation& op) const {
  duration delay = next_delay(options_.wait, f.attempt, f.delay, op.random());
  f.delay = delay;
  const time_point last = last_start(f, op);
  const duration hint = op.retry_after;
  if (options_.honour_retry_after && hint >= duration::zero()) {
    if (hint > options_.max_retry_after) return false;
    delay = std::max(delay, after_hint(hint, op, last));
  }
  const time_point next = saturating_add(op.now(), delay);
  // The budget is asked last: what is taken is meant.
  if (next > last || !budget_.reserve(op)) return false;
  op.wait_until = next;
  ++f.attempt;
  op.expect_attempt();
  return true;
}

/// Decides to wait where an open circuit refused the attempt: one of this stack, or one of a
/// pipeline that is the call.
bool retry_layer::wait_for_circuit(frame& f, operation& op) const {
  if (options_.wait_for_circuit == duration::zero()) return false;
  duration hint{-1};
  if (op.refused.code == errc::circuit_open) {
    hint = op.refused.retry_after;
    op.refused = {};  // heeded: it must not be taken for the reason of a later outcome
  } else if (op.error && op.error->code() == errc::circuit_open) {
    hint = op.error->retry_after().value_or(hint);
  } else {
    return false;
  }
  const time_point last =
      std::min(last_start(f, op), saturating_add(f.started, options_.wait_for_circuit));
  duration delay;
  if (hint > duration::zero()) {
    delay = after_hint(hint, op, last);
  } else {
    // Half-open with every probe taken: nobody knows for how long. Never a hot loop.
    constexpr duration least = std::chrono::milliseconds(10);
    delay = std::max(next_delay(options_.wait, f.attempt, f.delay, op.random()), least);
  }
  const time_point next = saturating_add(op.now(), delay);
  if (next > last) return false;
  op.wait_until = next;
  op.expect_attempt();
  return true;
}

/// Never before the time asked for, and never all at that time; but not so much later that it would
/// be past `last`, if there is room before.
duration retry_layer::after_hint(duration hint, operation& op, time_point last) const {
  duration spread = duration::zero();
  if (options_.wait.jitter != jitter::none) {
    const duration most = std::max(options_.wait.base, hint / 8);
    const duration room = last - saturating_add(op.now(), hint);
    spread = uniform(duration::zero(), room < duration::zero() ? most : std::min(most, room),
                     op.random());
  }
  // A user may have lifted the bound on hints: their sum must not overflow into no wait at all.
  return hint < duration::max() - spread ? hint + spread : duration::max();
}

/// The last time at which another attempt may begin.
time_point retry_layer::last_start(const frame& f, const operation& op) const noexcept {
  const time_point before_deadline = saturating_add(op.limit.at, duration(-1));
  if (options_.max_elapsed == duration::zero()) return before_deadline;
  return std::min(before_deadline, saturating_add(f.started, options_.max_elapsed));
}

void retry_layer::describe(std::string& out) const {
  const backoff& w = options_.wait;
  out += options_.name.empty() ? "retry" : fmt::format("retry '{}'", options_.name);
  out += fmt::format(": at most {} attempts", options_.max_attempts);
  if (options_.max_elapsed > duration::zero()) {
    out += fmt::format(" within {}", format_duration(options_.max_elapsed));
  }
  if (w.jitter == jitter::decorrelated) {
    out += fmt::format(", decorrelated delays from {} up to {}", format_duration(w.base),
                       format_duration(w.cap));
  } else {
    out += fmt::format(", {} delays from {} up to {}", to_string(w.kind), format_duration(w.base),
                       format_duration(w.cap));
    if (w.kind == backoff_kind::exponential) out += fmt::format(" by {}", w.factor);
    out += fmt::format(", {} jitter", to_string(w.jitter));
  }
  if (options_.honour_retry_after) {
    out += fmt::format(", retry-after up to {}", format_duration(options_.max_retry_after));
  } else {
    out += ", retry-after ignored";
  }
  if (options_.only_if) out += ", only if a predicate agrees";
  if (options_.wait_for_circuit > duration::zero()) {
    out += fmt::format(", waits for an open circuit up to {}",
                       format_duration(options_.wait_for_circuit));
  }
  budget_.describe(out);
}

}  // namespace holdfast::detail
