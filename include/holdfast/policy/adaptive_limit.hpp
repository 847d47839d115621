// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_ADAPTIVE_LIMIT_HPP
#define HOLDFAST_POLICY_ADAPTIVE_LIMIT_HPP

#include <cstdint>
#include <functional>
#include <holdfast/clock.hpp>
#include <holdfast/detail/layer.hpp>
#include <holdfast/detail/limit_core.hpp>
#include <holdfast/policy/adaptive_limit_options.hpp>
#include <holdfast/subscription.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace holdfast {

/// Limits how many calls of a service run at once, and finds the number by itself.
///
/// From the latencies of good answers (`success`, `slow`) and from dropped calls (`overloaded`, and
/// timeouts) it learns how many calls the service can work on before they only queue there. Every
/// other outcome says nothing. A call beyond the limit is refused with `errc::bulkhead_full`, at
/// once: there is no queue; put a `bulkhead` with one outside where calls shall wait. The place is
/// held while everything below in the stack runs, and comes back on every exit.
///
/// It belongs inside the `retry`, as each attempt is a sample of its own.
///
/// A handle: copies share the limit, and operations keep it alive. Thread safety: safe, from any
/// thread and executor. Cost: two atomic operations per call; a few hundred calls per window are
/// timed with the precise clock and noted under a short lock; no allocation.
class adaptive_limit {
 public:
  using options = adaptive_limit_options;

  /// Throws `invalid_options` that lists every option out of range.
  explicit adaptive_limit(options o = {});

  std::string_view name() const noexcept { return core_->name(); }

  /// The limit in force; less than half of what was found while the idle latency is measured.
  unsigned limit() const noexcept { return core_->limit(); }

  /// Calls that hold a place, at some instant during the call.
  unsigned in_flight() const noexcept { return core_->in_flight(); }

  /// Calls refused since construction.
  std::uint64_t refused() const noexcept { return core_->refused(); }

  /// What the limit knows, for dashboards.
  adaptive_limit_snapshot snapshot() const { return core_->snapshot(); }

  /// Replaces the options while calls go on. The limit found stays, within the new bounds, and so
  /// do the window, the idle latency, the calls in flight and the counters; the name and, as there
  /// is a limit already, `initial_limit` have no effect. Throws `invalid_options`, with nothing
  /// changed, if an option is out of range. Thread safety: safe.
  void reconfigure(options o) { core_->reconfigure(std::move(o)); }

  /// Calls `listener` after each change of the limit, in order, one at a time, outside every lock;
  /// on the thread that happens to be there. It may use the limit. An exception out of it is
  /// counted in the snapshot and changes nothing else. Ends with the subscription.
  [[nodiscard]] subscription on_change(std::function<void(const limit_change&)> listener) {
    return core_->on_change(std::move(listener));
  }

  const std::shared_ptr<detail::limit_core>& core() const noexcept { return core_; }

 private:
  std::shared_ptr<detail::limit_core> core_;
};

namespace detail {

class adaptive_limit_layer {
 public:
  static constexpr policy_kind kind = policy_kind::adaptive_limit;
  static constexpr bool timeless = true;

  /// Holds the place in flight.
  struct frame {
    limit_core* core = nullptr;
    time_point began;             // where the call is timed
    std::uint32_t in_flight = 0;  // with this call
    attention watched = attention::none;
    frame() = default;
    frame(const frame&) = delete;
    ~frame() {
      if (core) [[unlikely]] core->release();
    }
  };

  explicit adaptive_limit_layer(const adaptive_limit& l) : core_(l.core()) {}

  step enter(frame& f, operation& op) const {
    const limit_core::admission a = core_->try_enter();
    if (a.in_flight == 0) [[unlikely]] return refuse(op);
    f.core = core_.get();
    f.in_flight = a.in_flight;
    f.watched = a.watched;
    if (a.watched == attention::timed) [[unlikely]] f.began = op.time().precise_now();
    return step::go;
  }

  step leave(frame& f, operation& op, verdict v) const {
    f.core = nullptr;
    core_->release();
    if (f.watched != attention::none || v != verdict::success) [[unlikely]] learn(f, op, v);
    return step::go;
  }

  void describe(std::string& out) const { core_->describe(out); }

 private:
  step refuse(operation& op) const;
  void learn(const frame& f, operation& op, verdict v) const;

  std::shared_ptr<limit_core> core_;
};

}  // namespace detail
}  // namespace holdfast

#endif
