// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_RATE_LIMITER_HPP
#define HOLDFAST_POLICY_RATE_LIMITER_HPP

#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/detail/layer.hpp>
#include <holdfast/detail/limiter_core.hpp>
#include <holdfast/policy/rate_limiter_options.hpp>
#include <memory>
#include <string>
#include <utility>

namespace holdfast {

/// Limits how often a service is called, or how many units of cost it is sent, in a time.
///
/// A call that finds its permits missing waits for them, if there is a `max_wait`: when they are
/// due is known at once, and where that is too late, by `max_wait` or by the operation's deadline,
/// it is refused at once with `errc::rate_limited` and the time after which it would have been
/// admitted, and takes nothing. First come, first served. If a waiting operation is cancelled, the
/// next operation to arrive can have its time.
///
/// A weighted limiter takes `call_options::cost` permits, and settles on the way up: what the call
/// said with `call_context::settle` is what it cost in the end. A call that was never started costs
/// nothing; one that was cancelled in flight, and has not settled, costs what was reserved: it may
/// have reached the service. After a `verdict::throttled` with a hint nobody is admitted before the
/// time that the service asked for.
///
/// A handle: copies share the limiter, and operations keep it alive. Thread safety: safe, from any
/// thread and executor. Cost: one compare-and-swap per call; a reading of the precise clock where a
/// small store (fewer than 16 permits, or refilled in less than 64 ms) is full, or where permits
/// are missing; a lock where permits come back; no allocation, except for a wait.
class rate_limiter {
 public:
  using options = rate_limiter_options;

  /// Throws `invalid_options` that lists every option out of range.
  explicit rate_limiter(options o = {});

  /// Permits taken outside a pipeline.
  struct reservation {
    bool granted = false;
    std::uint32_t units = 0;
    /// From when they may be used: `now`, or later. Where they were not granted, when they could
    /// have been; `never` if one operation cannot have so many.
    time_point at = never;
    std::int64_t mark = 0;  ///< For the limiter.

    explicit operator bool() const noexcept { return granted; }
  };

  /// Takes permits for now. False: they are not there, and nothing is taken.
  bool try_acquire(std::uint32_t units = 1, time_point now = clock::now()) {
    return reserve(units, now, now).granted;
  }

  /// Takes permits for the moment at which they are due, if that is not after `latest` and within
  /// `max_wait`. Whoever has been granted them waits until `at`, uncounted, and settles or
  /// refunds later, once, or never. Times are those of the caller's clock, `now` is the present.
  reservation reserve(std::uint32_t units, time_point latest, time_point now = clock::now());

  /// Makes what was reserved into what was used. Once for each reservation.
  void settle(const reservation& r, std::uint64_t used, time_point now = clock::now()) noexcept {
    if (r.granted) core_->settle(r.units, r.mark, used, now);
  }

  /// Gives back a reservation that was not used at all. Once for each.
  /// Before its time, the next `reserve` can have that time. Other reservations keep theirs.
  void refund(const reservation& r, time_point now = clock::now()) noexcept;

  /// Takes over what the service says: that so many permits remain until it starts anew in `reset`.
  /// With none remaining nobody is admitted before that, or before `max_hint`; never shortens.
  void hint(std::uint64_t remaining, duration reset, time_point now = clock::now()) noexcept {
    core_->hint(remaining, reset, now);
  }

  /// Changes the options of new calls; `name` and `algorithm` stay. The store stays as full as it
  /// was, or as the new burst allows; who waits keeps the time. Throws `invalid_options`, and
  /// nothing has changed. Each call keeps some 150 bytes until the limiter goes.
  void reconfigure(options o, time_point now = clock::now()) {
    core_->reconfigure(std::move(o), now);
  }

  std::string_view name() const noexcept { return core_->name(); }

  /// What the limiter knows, for dashboards.
  limiter_snapshot snapshot(time_point now = clock::now()) const { return core_->snapshot(now); }

  /// Operations refused since construction.
  std::uint64_t refused() const noexcept { return core_->refused(); }

  const std::shared_ptr<detail::limiter_core>& core() const noexcept { return core_; }

 private:
  std::shared_ptr<detail::limiter_core> core_;
};

namespace detail {

class rate_limiter_layer {
 public:
  static constexpr policy_kind kind = policy_kind::rate_limiter;
  static constexpr bool timeless = true;  // on the way up

  /// What was taken, and whether the operation still waits for it.
  struct frame {
    limiter_core* core = nullptr;
    std::int64_t mark = 0;
    std::uint32_t units = 0;
    std::uint32_t begun = 0;  // calls made for the operation before; `waits`: not admitted yet
    std::uint64_t outer_settled = 0;  // what was settled before, for the limiters around this one
    frame() = default;
    frame(const frame&) = delete;
    ~frame() {
      if (core) [[unlikely]] give_back();
    }
    void give_back() noexcept;
  };

  explicit rate_limiter_layer(const rate_limiter& l) : core_(l.core()) {}

  step enter(frame& f, operation& op) const {
    const limiter_plan& p = core_->plan();
    f.units = p.options.weighted ? op.options.cost : 1;
    if (!core_->take(p, f.units, op.now(), op.time().resolution())) [[unlikely]] return book(f, op);
    return admit(f, op);
  }

  step resumed(frame& f, operation& op, wait_end end) const;

  step leave(frame& f, operation& op, verdict v) const {
    if (v == verdict::throttled || op.settled_ != operation::unsettled ||
        f.outer_settled != operation::unsettled || op.calls_made() == f.begun) [[unlikely]] {
      settle(f, op, v);
    }
    f.core = nullptr;
    return step::go;
  }

  void describe(std::string& out) const { core_->describe(out); }

 private:
  static constexpr std::uint32_t waits = ~std::uint32_t{0};

  /// What is settled from here on is this pass's.
  step admit(frame& f, operation& op) const {
    f.core = core_.get();
    f.begun = op.calls_made();
    f.outer_settled = std::exchange(op.settled_, operation::unsettled);
    return step::go;
  }
  step book(frame& f, operation& op) const;
  void settle(const frame& f, operation& op, verdict v) const;
  step refuse(operation& op, time_point at) const;

  std::shared_ptr<limiter_core> core_;
};

}  // namespace detail
}  // namespace holdfast

#endif
