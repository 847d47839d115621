// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_BREAKER_RULES_HPP
#define HOLDFAST_DETAIL_BREAKER_RULES_HPP

#include <functional>
#include <holdfast/detail/event_queue.hpp>
#include <holdfast/detail/sync.hpp>
#include <holdfast/detail/window_counts.hpp>
#include <holdfast/policy/circuit_breaker_options.hpp>
#include <holdfast/verdict.hpp>
#include <memory>
#include <optional>
#include <string>

namespace holdfast::detail {

/// Which breaker the rules are for.
enum class breaker_size : std::uint8_t {
  full,
  compact,  ///< One of a keyed family: time windows only, and no calls in flight.
};

/// The options of a breaker, or of all breakers of a keyed family, ready to be asked; and where
/// their events go.
///
/// What a call may ask is one atomic word each, so that the options can be changed while calls run:
/// a call that runs meanwhile may see some of the old ones and some of the new ones.
class breaker_rules {
 public:
  using options_ptr = std::shared_ptr<const circuit_breaker_options>;

  /// Throws `invalid_options` that lists every option out of range.
  explicit breaker_rules(circuit_breaker_options o, breaker_size size = breaker_size::full);

  /// Throws `invalid_options` that lists every option out of range, without changing anything.
  void check(const circuit_breaker_options& o) const;

  /// Changes what has been checked, except the clock.
  void change(circuit_breaker_options o);

  /// Changes the options of a family, the clock too: with another `window` its counts begin anew.
  /// Throws `invalid_options` without changing anything.
  void reconfigure(circuit_breaker_options o);

  const std::string& name() const noexcept { return name_; }

  /// All options, for what happens rarely. Takes a short lock.
  options_ptr options() const {
    const std::lock_guard lock(mutex_);
    return options_;
  }

  /// Whether a rule needs the window.
  bool rated() const noexcept { return rated_.load(std::memory_order_relaxed); }
  bool has_predicate() const noexcept { return predicate_.load(std::memory_order_relaxed); }
  bool jittered() const noexcept { return jittered_.load(std::memory_order_relaxed); }
  unsigned consecutive() const noexcept { return consecutive_.load(std::memory_order_relaxed); }
  duration slow_after() const noexcept {
    return duration(slow_after_.load(std::memory_order_relaxed));
  }
  bool took_long(duration d) const noexcept { return measures_time() && d >= slow_after(); }
  bool measures_time() const noexcept { return slow_after().count() != 0; }
  /// The span of a time, as a permit keeps it, for the calls in flight.
  std::int64_t span(std::int64_t kept_time) const noexcept {
    return spans_.period(time_point(duration(kept_time)));
  }

  bool is_bad(call_kind k) const noexcept {
    return k > call_kind::slow ||
           (k == call_kind::slow && slow_is_bad_.load(std::memory_order_relaxed));
  }
  /// As a probe, and while recovering.
  bool is_bad_probe(call_kind k) const noexcept {
    return k > call_kind::slow ||
           (k == call_kind::slow && slow_probe_is_bad_.load(std::memory_order_relaxed));
  }

  /// What the window holds, put together for the rules and for dashboards.
  static breaker_window view(const window_counts& counts, std::uint64_t hanging,
                             unsigned in_a_row) noexcept;

  /// The rule that is broken, if one is; nothing below the minimum of calls.
  std::optional<breaker_cause> broken(const breaker_window& w);
  bool judges(const breaker_window& w) const noexcept {
    return w.calls >= minimum_calls_.load(std::memory_order_relaxed);
  }

  std::uint64_t predicate_errors() const noexcept {
    return predicate_errors_.load(std::memory_order_relaxed);
  }

  window_clock clock;
  event_queue<breaker_transition> events;

  /// Names one breaker of a family in its events. Called under a lock. Empty: by the rules' name.
  std::function<std::string(const void* breaker)> name_of;

 private:
  void set(const circuit_breaker_options& o) noexcept;

  const std::string name_;
  const breaker_size size_;
  window_clock spans_;  // parts of `slow_after`

  sync::atomic<bool> rated_{false};
  sync::atomic<bool> predicate_{false};
  sync::atomic<bool> jittered_{false};
  sync::atomic<bool> slow_is_bad_{true};
  sync::atomic<bool> slow_probe_is_bad_{true};
  sync::atomic<unsigned> consecutive_{0};
  sync::atomic<unsigned> minimum_calls_{0};
  sync::atomic<duration::rep> slow_after_{0};
  sync::atomic<double> failure_rate_{0.0};
  sync::atomic<double> slow_rate_{0.0};
  sync::atomic<std::uint64_t> predicate_errors_{0};

  mutable sync::mutex mutex_;
  options_ptr options_;
};

/// What a call was, or nothing where its verdict says nothing of the service.
std::optional<call_kind> kind_of(verdict v, bool slow) noexcept;

/// How long a circuit stays open without a hint, having opened `reopened` times since it was
/// closed.
duration open_time(const circuit_breaker_options& o, unsigned reopened, std::uint64_t random);

/// Prints every option, as a layer describes itself.
void describe_breaker(std::string& out, const circuit_breaker_options& o);

}  // namespace holdfast::detail

#endif
