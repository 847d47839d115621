// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_BULKHEAD_HPP
#define HOLDFAST_POLICY_BULKHEAD_HPP

#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/detail/bulkhead_core.hpp>
#include <holdfast/detail/layer.hpp>
#include <holdfast/policy/bulkhead_options.hpp>
#include <memory>
#include <string>

namespace holdfast {

/// Limits how many calls of a service run at once, so that one that hangs cannot take everything.
///
/// A call that finds no permit free waits in a first-in-first-out queue, if there is one, until it
/// is given a permit, until its deadline, or for `max_queue_time`; otherwise it is refused with
/// `errc::bulkhead_full`. The permit is held while everything below in the stack runs, and comes
/// back on every exit: completion, exception, cancellation, destruction of the executor.
///
/// A handle: copies share the bulkhead, and operations keep it alive. Thread safety: safe, from any
/// thread and executor. Cost: two compare-and-swaps per call; a short lock where there is a queue
/// and it is used; no allocation.
class bulkhead {
 public:
  using options = bulkhead_options;

  /// Throws `invalid_options` that lists every option out of range.
  explicit bulkhead(options o = {}) : core_(std::make_shared<detail::bulkhead_core>(std::move(o))) {}

  std::string_view name() const noexcept { return core_->name(); }
  unsigned limit() const noexcept { return core_->limit(); }

  /// Permits given out, and operations in the queue, at some instant during the call.
  unsigned in_use() const noexcept { return core_->in_use(); }
  unsigned waiting() const noexcept { return core_->waiting(); }

  /// Calls refused since construction.
  std::uint64_t refused() const noexcept { return core_->refused(); }

  const std::shared_ptr<detail::bulkhead_core>& core() const noexcept { return core_; }

 private:
  std::shared_ptr<detail::bulkhead_core> core_;
};

namespace detail {

class bulkhead_layer {
 public:
  static constexpr policy_kind kind = policy_kind::bulkhead;
  static constexpr bool timeless = true;

  /// Holds the permit, or the place in the queue.
  struct frame {
    bulkhead_core* core = nullptr;
    turn* place = nullptr;  // while queued
    frame() = default;
    frame(const frame&) = delete;
    ~frame() {
      if (core) [[unlikely]] give_back();
    }
    void give_back() noexcept;
  };

  explicit bulkhead_layer(const bulkhead& b) : core_(b.core()) {}

  step enter(frame& f, operation& op) const {
    if (core_->try_acquire()) [[likely]] {
      f.core = core_.get();
      return step::go;
    }
    return enqueue(f, op);
  }

  step resumed(frame& f, operation& op, wait_end end) const;

  step leave(frame& f, operation&, verdict) const {
    f.core = nullptr;
    core_->release();
    return step::go;
  }

  void describe(std::string& out) const { core_->describe(out); }

 private:
  step enqueue(frame& f, operation& op) const;
  step refuse(operation& op) const;

  std::shared_ptr<bulkhead_core> core_;
};

}  // namespace detail
}  // namespace holdfast

#endif
