// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_CIRCUIT_BREAKER_HPP
#define HOLDFAST_POLICY_CIRCUIT_BREAKER_HPP

#include <functional>
#include <holdfast/clock.hpp>
#include <holdfast/detail/breaker_core.hpp>
#include <holdfast/detail/layer.hpp>
#include <holdfast/subscription.hpp>
#include <memory>
#include <string>

namespace holdfast {

/// Stops calling a service that fails, and tries it again carefully.
///
/// Closed, it counts; when one of its rules is broken (bad calls in a row, the rate of bad or of
/// slow calls over the window, a predicate) it opens. Open, it refuses every call at once with
/// `errc::circuit_open`, without touching the service, for `open_for`. Then it is half-open: it
/// admits `half_open_probes` calls at a time, opens again at a bad one, and with enough good ones
/// closes, or recovers: traffic comes back in steps, each of which is judged. What is counted is
/// the verdict: `failure`, `slow` and `overloaded` are bad, `success` is good, everything else says
/// nothing.
///
/// Results of calls that were admitted before the last change of state are dropped.
///
/// A handle: copies share the breaker, and operations keep it alive. Thread safety: safe, from any
/// thread and executor. Cost: while closed no locked instruction per good call for twice as many
/// threads as there are processors, up to 16; one for those beyond, on a counter that few share; no
/// lock, no allocation. With `slow_after` two locked instructions; with `window_calls` three, on counters
/// that all share. A short lock per call while half-open or recovering.
class circuit_breaker {
 public:
  using options = circuit_breaker_options;

  /// Throws `invalid_options` that lists every option out of range. `born` is where the time in the
  /// first state begins.
  explicit circuit_breaker(options o = {}, time_point born = clock::now());

  std::string_view name() const noexcept { return core_->name(); }

  /// The state as of the last call: an open breaker whose time is up stays open until it is called.
  breaker_state state() const noexcept { return core_->state(); }

  /// The time until an open breaker admits a probe; zero in every other state, and while isolated.
  duration remaining_open(time_point now = clock::now()) const noexcept {
    return core_->remaining_open(now);
  }

  /// What the breaker knows, for dashboards; the numbers are read one after another.
  breaker_snapshot snapshot(time_point now = clock::now()) const { return core_->snapshot(now); }

  /// Opens the circuit by hand, until `reset`. Calls are refused with `errc::circuit_isolated`.
  void isolate(time_point now = clock::now()) { core_->isolate(now); }

  /// Admits every call and counts nothing, until `reset`.
  void disable(time_point now = clock::now()) { core_->disable(now); }

  /// Admits every call and counts, without ever opening, until `reset`: to see what rules would do.
  void observe(time_point now = clock::now()) { core_->observe(now); }

  /// Closes the circuit by hand, with nothing counted. Ends an isolation and the other two.
  void reset(time_point now = clock::now()) { core_->reset(now); }

  /// Changes the options while calls run; the name stays. State, counts, probes and steps are kept:
  /// a changed `window` counts what it held as of now, a circuit that is open stays so until its
  /// time. Throws `invalid_options` that lists every option out of range, and changes nothing then.
  void reconfigure(options o, time_point now = clock::now()) {
    core_->reconfigure(std::move(o), now);
  }

  /// Calls `listener` after each change of state, in order, one at a time, outside every lock; on
  /// the thread that happens to be there. It may call the breaker. An exception out of it is
  /// counted in the snapshot and changes nothing else. Ends with the subscription: after its
  /// destruction the listener is not running and not called any more.
  [[nodiscard]] subscription on_transition(
      std::function<void(const breaker_transition&)> listener) {
    return core_->on_transition(std::move(listener));
  }

  const std::shared_ptr<detail::breaker_core>& core() const noexcept { return core_; }

 private:
  std::shared_ptr<detail::breaker_core> core_;
};

namespace detail {

class breaker_layer {
 public:
  static constexpr policy_kind kind = policy_kind::circuit_breaker;
  static constexpr bool counts_over_operations = true;

  /// Gives an admission back, unjudged, where the operation ends without leaving the layer.
  struct frame {
    breaker_core* core = nullptr;
    breaker_permit permit;
    frame() = default;
    frame(const frame&) = delete;
    ~frame() {
      if (core) [[unlikely]] core->leave_slow(permit, verdict::neutral, {});
    }
  };

  explicit breaker_layer(const circuit_breaker& b) : core_(b.core()) {}

  [[gnu::always_inline]] step enter(frame& f, operation& op) const {
    if (!core_->try_enter(f.permit, op.now(), &op.time())) [[unlikely]] return refuse(op);
    f.core = core_.get();
    if (f.permit.mark != 0 && f.permit.is_probe()) [[unlikely]] narrow(f.permit, op);
    return step::go;
  }

  [[gnu::always_inline]] step leave(frame& f, operation& op, verdict v) const {
    f.core = nullptr;
    if (f.permit.mark == 0 && v == verdict::success) [[likely]] {
      if (core_->count_good(f.permit, op.now())) [[unlikely]] judge(f.permit, op);
    } else {
      leave_slow(f.permit, op, v);
    }
    return step::go;
  }

  void describe(std::string& out) const { core_->describe(out); }

 private:
  step refuse(operation& op) const;
  void narrow(breaker_permit& permit, operation& op) const;
  void judge(const breaker_permit& permit, operation& op) const;
  void leave_slow(const breaker_permit& permit, operation& op, verdict v) const;

  std::shared_ptr<breaker_core> core_;
};

}  // namespace detail
}  // namespace holdfast

#endif
