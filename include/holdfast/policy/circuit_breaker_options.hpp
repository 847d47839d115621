// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_CIRCUIT_BREAKER_OPTIONS_HPP
#define HOLDFAST_POLICY_CIRCUIT_BREAKER_OPTIONS_HPP

#include <functional>
#include <holdfast/clock.hpp>
#include <holdfast/policy/breaker_snapshot.hpp>
#include <optional>
#include <string>
#include <vector>

namespace holdfast {

/// One step on the way back from half-open to closed.
struct recovery_step {
  /// The share of the calls that is admitted. More than 0, at most 1.
  double share = 1.0;

  /// The step is judged once this many of its calls have ended. At least 1.
  unsigned minimum_calls = 5;

  /// The step fails when bad calls reach this share of those that ended. More than 0, at most 1.
  double failure_rate = 0.5;

  /// The step lasts at least this long, however many calls it sees. At least zero.
  duration at_least = std::chrono::seconds(1);

  friend bool operator==(const recovery_step&, const recovery_step&) = default;
};

/// Lets the traffic come back in steps, so that a service that has just recovered is not trampled.
///
/// Which calls are admitted is decided by error diffusion, not by chance: at 10 % it is the first
/// of every ten, so that little traffic gets ahead too.
struct recovery_ramp {
  /// Ten steps: 10 %, 20 %, and so on to 100 %.
  static std::vector<recovery_step> tenths();

  /// In this order; after the last one the circuit is closed. 1 to 100 steps.
  std::vector<recovery_step> steps = tenths();

  enum class on_failure : std::uint8_t {
    back_one_step,  ///< And from the first step: open.
    open,
  };
  /// Where a step that fails leads to.
  on_failure failed_step = on_failure::back_one_step;

  friend bool operator==(const recovery_ramp&, const recovery_ramp&) = default;
};

struct circuit_breaker_options {
  /// Appears in failures, events and `describe()`. May be empty.
  std::string name = {};

  // When it opens. Each rule that is on can open the circuit by itself; at least one must be on.

  /// Opens after this many bad calls in a row. Zero: this rule is off.
  unsigned consecutive_failures = 5;

  /// Opens when bad calls reach this share of all calls in the window, once there are
  /// `minimum_calls`. Between 0 and 1; zero: this rule is off.
  double failure_rate = 0.0;

  /// Opens when slow calls, failed or not, reach this share of all calls in the window, once there
  /// are `minimum_calls`. Between 0 and 1; zero: this rule is off.
  double slow_rate = 0.0;

  /// A call that takes this long is slow, besides those that the classifier calls so; and while it
  /// hangs beyond that, it counts as a slow call of the window. Measured by the clock's ticks, so
  /// good to a few milliseconds. At least zero; zero: the breaker itself measures no time.
  duration slow_after = duration::zero();

  /// Whether a slow answer is bad: in a row, in `failure_rate`, and as a probe. True: "failed or
  /// slow" is one rate. False: it counts for `slow_rate` only; as a probe it is bad where that rule
  /// is on.
  bool slow_counts_as_failure = true;

  /// Opens when it returns true for what the window holds, once there are `minimum_calls`. Asked
  /// after each bad call, and after each good one while a bad one is in the window; from any
  /// thread, outside every lock. An exception out of it is counted with those of listeners, and
  /// opens nothing. Empty: this rule is off.
  std::function<bool(const breaker_window&)> opens_if = {};

  /// What the rates are taken over. At least ten nanoseconds; its resolution is a tenth of it.
  duration window = std::chrono::seconds(10);

  /// If more than zero, the rates are taken over the last so many calls, whenever they were, in
  /// place of `window`. At most 10,000. Threads that share a breaker then share one ring of calls:
  /// it does not gain from more threads as a time window does.
  unsigned window_calls = 0;

  /// The rates are not judged below this many calls in the window. At least 1, and at most
  /// `window_calls` where that is set.
  unsigned minimum_calls = 20;

  // How long it stays open.

  /// How long the circuit stays open before it is tried. More than zero.
  duration open_for = std::chrono::seconds(30);

  /// Each time the circuit opens again without having been closed, it stays open this many times
  /// longer than the time before. 1 to 1000; 1: always `open_for`.
  double open_growth = 1.0;

  /// Where that growth ends. At least `open_for`, if `open_growth` is more than 1.
  duration max_open_for = std::chrono::minutes(10);

  /// The share of the open time that is random, so that many clients do not come back at once: the
  /// circuit stays open between (1 - jitter) times its time and all of it. Between 0 and 1.
  double open_jitter = 0.0;

  /// The longest time for which a hint of the service's (`Retry-After`) can keep the circuit open.
  /// A hint only ever makes it longer. At least zero; zero: hints are ignored.
  duration max_retry_after = std::chrono::minutes(10);

  // How it is tried.

  /// How many calls a half-open circuit lets through at a time. 1 to 10,000.
  unsigned half_open_probes = 1;

  /// How many good calls in a row close a half-open circuit. At least 1.
  unsigned successes_to_close = 1;

  /// If more than zero, a half-open circuit is judged by this many probes, in place of
  /// `successes_to_close`: it opens when bad ones reach `half_open_failure_rate` of them.
  unsigned half_open_calls = 0;

  /// See `half_open_calls`. More than 0, at most 1.
  double half_open_failure_rate = 0.5;

  /// The time that a probe is given, where what is left to it anyway is more: everything below the
  /// breaker then ends with `errc::attempt_timeout`. At least zero; zero: no limit of its own.
  duration probe_timeout = duration::zero();

  /// The longest time for which a probe keeps its place. A probe that still runs then ends with
  /// `errc::attempt_timeout`, as after `probe_timeout`. If its call ignores the cancellation, the
  /// next operation takes the place back: the probe counts as failed, and its result is ignored.
  /// More than zero.
  duration probe_lease = std::chrono::seconds(60);

  /// How traffic returns after half-open. Empty: all of it at once. `recovery_ramp{}`: in steps of
  /// 10 %.
  std::optional<recovery_ramp> recovery = {};
};

}  // namespace holdfast

#endif
