// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_LOAD_SHEDDER_HPP
#define HOLDFAST_POLICY_LOAD_SHEDDER_HPP

#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/detail/layer.hpp>
#include <holdfast/detail/load_shedder_core.hpp>
#include <holdfast/policy/load_shedder_options.hpp>
#include <memory>
#include <string>
#include <utility>

namespace holdfast {

/// Turns calls away while there are more than can be served, the least important first, and keeps a
/// tenant from taking what others need. Who is turned away is told at once, with `errc::shed`.
///
/// Overload is seen by the time that calls spend in the queues below (`overload_signal`). While it
/// lasts, every window admits a little less than the one before: first without the least important
/// class of `call_options::priority`, within a class without one group of sessions after the other.
/// All calls of a session fare alike: a task of several calls is not begun if it cannot be
/// finished. A session is `call_options::session`, else the tenant; calls that name neither are
/// shed by chance. Calls of `priority::critical` are never shed for overload.
///
/// Where `capacity` is set, a tenant that already has its fair share of it in flight is refused
/// too, whatever the load; calls without a tenant are counted and not bounded.
///
/// The method is DAGOR (Zhou et al., SoCC 2018). Put it around the bulkhead whose queue it watches.
///
/// A handle: copies share the load shedder, and operations keep it alive. Thread safety: safe, from
/// any thread and executor. Cost: one atomic addition per call, and four more atomic operations
/// where `capacity` is set; once per window some hundred nanoseconds for the call that ends it; no
/// allocation.
class load_shedder {
 public:
  using options = load_shedder_options;

  /// Throws `invalid_options` that lists every option out of range.
  explicit load_shedder(options o = {});

  std::string_view name() const noexcept { return core_->name(); }

  /// What it has seen and done. Cost: a short lock.
  load_shedder_snapshot snapshot() const noexcept { return core_->snapshot(); }

  /// Puts other options in place of the present ones. What is admitted now, calls in flight and
  /// counters stay, and so does the name. Throws `invalid_options`, and changes nothing, where an
  /// option is out of range.
  void reconfigure(options o) { core_->reconfigure(std::move(o)); }

  const std::shared_ptr<detail::load_shedder_core>& core() const noexcept { return core_; }

 private:
  std::shared_ptr<detail::load_shedder_core> core_;
};

namespace detail {

class load_shedder_layer {
 public:
  static constexpr policy_kind kind = policy_kind::load_shedder;

  /// Counts the call among those of its tenant, and keeps from where the signal is measured.
  struct frame {
    load_shedder_core* core = nullptr;
    duration from{0};
    tenant_shares::place place = tenant_shares::none;
    overload_signal signal{};
    frame() = default;
    frame(const frame&) = delete;
    ~frame() {
      if (core) [[unlikely]] core->shares.give_back(place);
    }
  };

  explicit load_shedder_layer(const load_shedder& s) : core_(s.core()) {}

  /// Throws `invalid_options` where it watches queues and there are none.
  void check_place(bool around_queue) const;

  step enter(frame& f, operation& op) const {
    if (core_->capacity() != 0 && !take_share(f, op)) [[unlikely]] return refuse_share(op);
    const unsigned level = core_->level_of(op.priority(), identity_of(op));
    if (!core_->admit(level)) [[unlikely]] return shed(f, op, level);
    f.core = core_.get();
    f.signal = core_->signal();
    f.from = f.signal == overload_signal::queue_time ? op.time_in_queues() : op.now().time_since_epoch();
    return step::go;
  }

  step leave(frame& f, operation& op, verdict v) const {
    f.core = nullptr;
    core_->shares.give_back(std::exchange(f.place, tenant_shares::none));
    if (op.error) [[unlikely]] {
      judge_failure(f, op, v);
    } else {
      core_->add_sample(sample_of(f, op), op.now());
    }
    return step::go;
  }

  void describe(std::string& out) const { core_->describe(out); }

 private:
  static duration sample_of(const frame& f, operation& op) noexcept {
    return (f.signal == overload_signal::queue_time ? op.time_in_queues() : op.now().time_since_epoch()) -
           f.from;
  }

  static std::uint64_t identity_of(operation& op) noexcept;
  bool take_share(frame& f, operation& op) const noexcept;
  void judge_failure(const frame& f, operation& op, verdict v) const noexcept;
  step shed(frame& f, operation& op, unsigned level) const;
  step refuse_share(operation& op) const;
  step refuse(operation& op) const;

  std::shared_ptr<load_shedder_core> core_;
};

}  // namespace detail
}  // namespace holdfast

#endif
