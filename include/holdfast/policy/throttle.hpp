// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_THROTTLE_HPP
#define HOLDFAST_POLICY_THROTTLE_HPP

#include <holdfast/clock.hpp>
#include <holdfast/detail/layer.hpp>
#include <holdfast/detail/throttle_core.hpp>
#include <holdfast/policy/throttle_options.hpp>
#include <memory>
#include <string>
#include <utility>

namespace holdfast {

/// Turns calls away at the client, in proportion to what the service does not accept.
///
/// Where a circuit breaker makes a half outage a whole one, a throttle sends what the service can
/// take, and somewhat more to see it recover: of `requests` wishes and `accepts` accepted calls in
/// the window it turns away `max(0, (requests - multiplier * accepts) / (requests + 1))`, by
/// chance, with `errc::shed`. Wishes are counted when they are made, those turned away included.
/// Accepted is a call with the verdict `success`, `slow` or `request_fault`; not accepted are
/// `failure`, `throttled` and `overloaded`; `neutral` says nothing, as if the call had not been
/// made.
/// Source: B. Beyer et al., "Site Reliability Engineering", 2016, chapter 21, "Handling Overload".
///
/// A handle: copies share the throttle, and operations keep it alive. Thread safety: safe, from any
/// thread and executor. Cost: while the service accepts, an add to two counters of the thread's own
/// per call; no lock, no allocation.
class throttle {
 public:
  using options = throttle_options;

  /// Throws `invalid_options` that lists every option out of range.
  explicit throttle(options o = {});

  std::string_view name() const noexcept { return core_->name(); }

  /// Calls turned away since construction.
  std::uint64_t rejected() const noexcept { return core_->rejected(); }

  /// What the throttle knows; the numbers are read one after another.
  throttle_snapshot snapshot(time_point now = clock::now()) const { return core_->snapshot(now); }

  /// Takes new options over, for the calls from now on. What was counted stays; with a longer
  /// window, as far as it was known. The name stays. Throws `invalid_options`, with nothing
  /// changed.
  void reconfigure(options o, time_point now = clock::now()) {
    core_->reconfigure(std::move(o), now);
  }

  /// The options in force.
  options current_options() const { return core_->options(); }

  const std::shared_ptr<detail::throttle_core>& core() const noexcept { return core_; }

 private:
  std::shared_ptr<detail::throttle_core> core_;
};

namespace detail {

class throttle_layer {
 public:
  static constexpr policy_kind kind = policy_kind::throttle;

  /// Takes the wish back where the operation ends without leaving the layer.
  struct frame {
    throttle_core* core = nullptr;
    frame() = default;
    frame(const frame&) = delete;
    ~frame() {
      if (core) [[unlikely]] core->leave(verdict::neutral);
    }
  };

  explicit throttle_layer(const throttle& t) : core_(t.core()) {}

  step enter(frame& f, operation& op) const {
    if (!core_->try_enter(op.now(), [&op] { return op.random(); })) [[unlikely]] return refuse(op);
    f.core = core_.get();
    return step::go;
  }

  step leave(frame& f, operation& op, verdict v) const {
    f.core = nullptr;
    core_->leave(op.of_service(v));
    return step::go;
  }

  void describe(std::string& out) const { core_->describe(out); }

 private:
  step refuse(operation& op) const;

  std::shared_ptr<throttle_core> core_;
};

}  // namespace detail
}  // namespace holdfast

#endif
