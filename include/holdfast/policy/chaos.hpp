// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_CHAOS_HPP
#define HOLDFAST_POLICY_CHAOS_HPP

#include <functional>
#include <holdfast/detail/chaos_core.hpp>
#include <holdfast/detail/layer.hpp>
#include <holdfast/policy/chaos_options.hpp>
#include <holdfast/subscription.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace holdfast {

/// Makes a service fail, slow down or hang, to rehearse what the policies around it are for.
///
/// Off unless it is switched on. Innermost in the stack (the first `.with`) it stands in for the
/// service: what it does to an attempt is judged by the classifier and seen by every policy around
/// it as the call's own doing. Which attempts it strikes follows from the seed and from the
/// attempts' numbers alone. The caller's cancellation ends a delay or a hang at once.
///
/// A handle: copies share the switch, the count and the plan, and operations keep them alive.
/// Thread safety: safe, from any thread and executor. Cost while off: a relaxed load. While on: a
/// short lock per attempt; a delay or a hang allocates what the wait needs.
class chaos {
 public:
  using options = chaos_options;

  /// Throws `invalid_options` that lists every option out of range.
  explicit chaos(options o = {});

  std::string_view name() const noexcept { return core_->name(); }

  /// Switches it on: attempts and times are counted anew. Nothing happens if it is on already.
  void enable() { core_->enable(); }

  /// Switches it off, for attempts that begin from now on; one that is held up stays so.
  void disable() noexcept { core_->disable(); }

  bool enabled() const noexcept { return core_->enabled(); }

  /// What it has done since it was last switched on.
  chaos_snapshot snapshot() const { return core_->snapshot(); }

  /// Replaces the rules and the seed for attempts that begin from now on. The switch stays as it
  /// is, whatever `enabled` says, so that no new configuration undoes a `disable`; the counts and
  /// the name stay, too. Throws `invalid_options`, with nothing changed, if an option is out of
  /// range.
  void reconfigure(options o) { core_->reconfigure(std::move(o)); }

  /// Calls `listener` for each attempt that is struck, before anything happens to it; in order, one
  /// at a time, outside every lock, on the thread that happens to be there. An exception out of it
  /// is counted in the snapshot and changes nothing else. Ends with the subscription.
  [[nodiscard]] subscription on_strike(std::function<void(const chaos_strike&)> listener) {
    return core_->on_strike(std::move(listener));
  }

  const std::shared_ptr<detail::chaos_core>& core() const noexcept { return core_; }

 private:
  std::shared_ptr<detail::chaos_core> core_;
};

namespace detail {

class chaos_layer {
 public:
  static constexpr policy_kind kind = policy_kind::chaos;
  static constexpr bool timeless = true;

  struct frame {
    std::shared_ptr<const chaos_rule> rule;  // what is to happen after the wait
    failure fault;
  };

  explicit chaos_layer(const chaos& c) : core_(c.core()) {}

  step enter(frame& f, operation& op) const {
    if (!core_->enabled()) [[likely]] return step::go;
    return strike(f, op);
  }

  step resumed(frame& f, operation& op, wait_end end) const;
  step leave(frame&, operation&, verdict) const noexcept { return step::go; }
  failure fault(frame& f) const noexcept { return std::move(f.fault); }
  void describe(std::string& out) const { core_->describe(out); }

 private:
  step strike(frame& f, operation& op) const;

  std::shared_ptr<chaos_core> core_;
};

}  // namespace detail
}  // namespace holdfast

#endif
