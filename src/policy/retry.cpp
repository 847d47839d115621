// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <holdfast/detail/format.hpp>
#include <holdfast/detail/option_faults.hpp>
#include <holdfast/detail/uniform.hpp>
#include <holdfast/policy/retry.hpp>

namespace holdfast::detail {

retry_layer::retry_layer(retry options) : options_(std::move(options)) {
  option_faults faults;
  faults.at_least("max_attempts", options_.max_attempts, 1);
  faults.at_least("max_elapsed", options_.max_elapsed, duration::zero());
  faults.at_least("max_retry_after", options_.max_retry_after, duration::zero());
  faults.at_least("wait.base", options_.wait.base, duration::zero());
  faults.at_least("wait.cap", options_.wait.cap, std::max(options_.wait.base, duration::zero()));
  faults.between("wait.factor", options_.wait.factor, 1.0, 1e6);
  faults.raise_if_any("retry");
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

bool retry_layer::repeats(const operation& op, verdict v) const {
  if (v != verdict::failure && v != verdict::throttled && v != verdict::overloaded) return false;
  if (!op.options.idempotent && !is_before_sending(op.error)) return false;
  if (!options_.only_if) return true;
  try {
    return options_.only_if(op.error, v);
  } catch (...) {
    return false;
  }
}

step retry_layer::consider(frame& f, operation& op, verdict v) const {
  if (f.attempt >= options_.max_attempts || op.caller_cancelled() || !repeats(op, v)) {
    return step::go;
  }
  duration delay = next_delay(options_.wait, f.attempt, f.delay, op.random());
  f.delay = delay;
  if (const duration hint = op.retry_after; options_.honour_retry_after && hint >= duration::zero()) {
    if (hint > options_.max_retry_after) return step::go;
    // Never before the time asked for, and never all at that time.
    duration spread = duration::zero();
    if (options_.wait.jitter != jitter::none) {
      spread = uniform(duration::zero(), std::max(options_.wait.base, hint / 8), op.random());
    }
    // A user may have lifted the bound on hints: their sum must not overflow into no wait at all.
    delay = std::max(delay, hint < duration::max() - spread ? hint + spread : duration::max());
  }
  const time_point next = saturating_add(op.now(), delay);
  if (next >= op.limit.at) return step::go;
  if (options_.max_elapsed > duration::zero() && next - f.started > options_.max_elapsed) {
    return step::go;
  }
  op.wait_until = next;
  op.set_attempt(++f.attempt);
  return step::again;
}

void retry_layer::describe(std::string& out) const {
  const backoff& w = options_.wait;
  out += fmt::format("retry: at most {} attempts", options_.max_attempts);
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
}

}  // namespace holdfast::detail
