// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_BULKHEAD_HPP
#define HOLDFAST_POLICY_BULKHEAD_HPP

#include <algorithm>
#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>
#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/detail/bulkhead_core.hpp>
#include <holdfast/detail/drain_operation.hpp>
#include <holdfast/detail/layer.hpp>
#include <holdfast/policy/bulkhead_options.hpp>
#include <memory>
#include <string>

namespace holdfast {

/// Limits how many calls of a service run at once, so that one that hangs cannot take everything.
///
/// A call that finds no permit free waits in a queue, if there is one, until it is given a permit,
/// until its deadline, or for `max_queue_time`; otherwise it is refused with `errc::bulkhead_full`.
/// `order` says who is served next. The permit is held while everything below in the stack runs,
/// and comes back on every exit: completion, exception, cancellation, destruction of the executor.
///
/// A call takes as many permits as `call_options::weight` says. One that weighs more than the limit
/// is refused with `errc::too_heavy`; the next in the queue waits until enough are free, and nobody
/// overtakes it.
///
/// A handle: copies share the bulkhead, and operations keep it alive. Thread safety: safe, from any
/// thread and executor. Cost: a compare-and-swap and an addition per call; a short lock where there
/// is a queue and it is used; no allocation.
class bulkhead {
 public:
  using options = bulkhead_options;

  /// Throws `invalid_options` that lists every option out of range.
  explicit bulkhead(options o = {});

  std::string_view name() const noexcept { return core_->name(); }
  unsigned limit() const noexcept { return core_->limit(); }

  /// Permits given out, and operations in the queue, at some instant during the call.
  unsigned in_use() const noexcept { return core_->in_use(); }
  unsigned waiting() const noexcept { return core_->waiting(); }

  /// Calls refused since construction.
  std::uint64_t refused() const noexcept { return core_->refused(); }

  /// All figures of one instant; those of refusals and queue times are counted since construction.
  /// Cost: a short lock.
  bulkhead_snapshot snapshot() const noexcept { return core_->snapshot(); }

  /// Puts other options in place of the present ones, for new calls and for those that wait:
  /// permits, the queue and the counters stay. The name stays too; the wait of an operation that is
  /// in the queue already is not changed. Throws `invalid_options`, and changes nothing, where an
  /// option is out of range.
  void reconfigure(options o) { core_->reconfigure(std::move(o)); }

  /// Changes the limit. A higher one admits waiting operations at once; a lower one lets those that
  /// hold permits finish, and refuses waiting ones that weigh more than it with `errc::too_heavy`.
  /// Throws `invalid_options` where the limit is out of range.
  void resize(unsigned limit) { core_->resize(limit); }

  /// Refuses new calls and those in the queue with `errc::shutting_down`, for good. Calls that hold
  /// a permit go on.
  void close() noexcept { core_->close(); }

  /// Closes the bulkhead and waits until the last permit is back.
  ///
  /// Completes with `void(error_code)`: no error once nothing runs any more, `operation_aborted` if
  /// cancelled (every cancellation type), or `not_enough_memory`; the bulkhead stays closed. Never
  /// completes from within this function, except if there is no memory. Several may wait.
  ///
  /// The wait runs on the handler's executor; a token whose handler has none does not compile.
  /// Thread safety: safe, from any thread. Cost: one allocation, and one that is recycled by Asio's
  /// threads.
  template <class Token = asio::deferred_t>
  auto drain(Token&& token = {}) {
    close();
    return asio::async_initiate<Token, void(boost::system::error_code)>(detail::initiate_drain(),
                                                                        token, core_);
  }

  /// The same on `executor`, for tokens such as `asio::use_future` that have none. The handler runs
  /// on its own executor if it has one.
  template <class Token>
  auto drain(const asio::any_io_executor& executor, Token&& token) {
    close();
    return asio::async_initiate<Token, void(boost::system::error_code)>(
        detail::initiate_drain_on(), token, executor, core_);
  }
  template <class Token>
  auto drain(detail::context_for_io auto& context, Token&& token) {
    return drain(asio::any_io_executor(context.get_executor()), std::forward<Token>(token));
  }

  const std::shared_ptr<detail::bulkhead_core>& core() const noexcept { return core_; }

 private:
  std::shared_ptr<detail::bulkhead_core> core_;
};

namespace detail {

class bulkhead_layer {
 public:
  static constexpr policy_kind kind = policy_kind::bulkhead;
  static constexpr bool timeless = true;

  /// Holds the permits, or the place in the queue.
  struct frame {
    bulkhead_core* core = nullptr;
    turn* place = nullptr;  // while queued
    unsigned weight = 1;
    frame() = default;
    frame(const frame&) = delete;
    ~frame() {
      if (core) [[unlikely]] give_back();
    }
    void give_back() noexcept;
  };

  explicit bulkhead_layer(const bulkhead& b) : core_(b.core()) {}

  step enter(frame& f, operation& op) const {
    const unsigned weight = std::max(op.options.weight, 1U);
    if (core_->try_acquire(weight)) [[likely]] {
      f.core = core_.get();
      f.weight = weight;
      return step::go;
    }
    return enqueue(f, op, weight);
  }

  step resumed(frame& f, operation& op, wait_end end) const;

  step leave(frame& f, operation&, verdict) const {
    f.core = nullptr;
    core_->release(f.weight);
    return step::go;
  }

  void describe(std::string& out) const { core_->describe(out); }

 private:
  step enqueue(frame& f, operation& op, unsigned weight) const;
  step refuse(operation& op, errc code, bulkhead_core::refusal_reason why) const;

  std::shared_ptr<bulkhead_core> core_;
};

}  // namespace detail
}  // namespace holdfast

#endif
