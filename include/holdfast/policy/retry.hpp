// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_RETRY_HPP
#define HOLDFAST_POLICY_RETRY_HPP

#include <functional>
#include <holdfast/clock.hpp>
#include <holdfast/detail/budget_use.hpp>
#include <holdfast/detail/layer.hpp>
#include <holdfast/policy/backoff.hpp>
#include <holdfast/policy/retry_budget.hpp>
#include <optional>
#include <string>

namespace holdfast {

/// Repeats what is below it in the stack while its outcome is worth repeating.
///
/// Repeated are the verdicts `failure`, `throttled` and `overloaded`; never a fault of the request,
/// a cancellation, or a refusal by a policy below (but see `wait_for_circuit`). No retry is begun,
/// and no delay slept, that the deadline or `max_elapsed` would cut short: the last outcome is
/// returned at once, unchanged. The caller's cancellation ends a delay at once.
///
/// Where the budget is spent, the last outcome is returned at once too; the operation's ledger
/// shows it as refused by `policy_kind::retry_budget`, and the budget counts it in its snapshot.
struct retry {
  /// Attempts in all, the first included. At least 1; 1: no retry.
  unsigned max_attempts = 3;

  /// The longest time from the start to the beginning of the last attempt. At least zero; zero: no
  /// bound.
  duration max_elapsed = duration::zero();

  backoff wait = {};

  /// Waits at least as long as the service asked for (`failure::retry_after`, or the classifier's
  /// hint), plus some jitter. False: hints are ignored.
  bool honour_retry_after = true;

  /// A hint longer than this is not waited for: the outcome is returned at once. At least zero.
  duration max_retry_after = std::chrono::seconds(60);

  /// Asked before each retry, if set; false: the outcome is returned. Called on the operation's
  /// executor; an exception out of it means false.
  std::function<bool(const failure*, verdict)> only_if = nullptr;

  /// What retries are taken out of, shared with whoever else has the same object. None: unlimited.
  /// Taken when a retry is decided, before its delay; it stays spent if the caller gives up
  /// meanwhile.
  std::optional<retry_budget> budget = std::nullopt;

  /// Where an open circuit below refuses the attempt, waits until it may be tried, and for a place
  /// among its probes, instead of giving up; up to this long after the start of the operation. Such
  /// an attempt is not counted and not taken out of the budget: nothing was sent. At least zero;
  /// zero: the refusal ends the operation.
  duration wait_for_circuit = duration::zero();

  /// Appears in `describe` and in the errors of `invalid_options`. May be empty.
  std::string name = {};
};

namespace detail {

class retry_layer {
 public:
  static constexpr policy_kind kind = policy_kind::retry;
  static constexpr bool timeless = true;
  struct frame {
    unsigned attempt;    // the one under way, from 1
    bool failed;         // an attempt has, with all the time that its timeouts allow
    time_point started;  // where some option asks for it
    duration delay;      // the last one waited, before any hint
  };

  explicit retry_layer(retry options);

  step enter(frame& f, operation& op) const noexcept {
    f = {.attempt = 1,
         .failed = false,
         .started = bounds_elapsed_ ? op.now() : time_point(),
         .delay = duration::zero()};
    budget_.on_call(op);
    return step::go;
  }

  step leave(frame& f, operation& op, verdict v) const {
    if (is_answer(v)) [[likely]] {
      budget_.on_success();
      return step::go;
    }
    return consider(f, op, v);
  }

  /// Whether the outcome may be repeated, were there attempts and time left.
  bool repeats(operation& op, verdict v) const;

  unsigned max_attempts() const noexcept { return options_.max_attempts; }
  budget_use& budget() noexcept { return budget_; }
  const budget_use& budget() const noexcept { return budget_; }
  void describe(std::string& out) const;
  double amplification() const {
    return budget_.amplification(static_cast<double>(options_.max_attempts));
  }

 private:
  step consider(frame& f, operation& op, verdict v) const;
  bool repeat(frame& f, operation& op) const;
  bool wait_for_circuit(frame& f, operation& op) const;
  duration after_hint(duration hint, operation& op, time_point last) const;
  time_point last_start(const frame& f, const operation& op) const noexcept;

  retry options_;
  bool bounds_elapsed_;
  budget_use budget_;
};

}  // namespace detail
}  // namespace holdfast

#endif
