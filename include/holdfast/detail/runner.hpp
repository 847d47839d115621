// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_RUNNER_HPP
#define HOLDFAST_DETAIL_RUNNER_HPP

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/this_coro.hpp>
#include <exception>
#include <holdfast/detail/attempt_context.hpp>
#include <holdfast/detail/deadline_alarm.hpp>
#include <holdfast/detail/detach_state.hpp>
#include <holdfast/detail/home_executor.hpp>
#include <holdfast/detail/parked_runners.hpp>
#include <holdfast/detail/resumption.hpp>
#include <holdfast/detail/service_cache.hpp>
#include <holdfast/detail/sync.hpp>
#include <memory>
#include <optional>
#include <type_traits>
#include <variant>

namespace holdfast::detail {

/// `void` as a value.
template <class U>
using value_of = std::conditional_t<std::is_void_v<U>, std::monostate, U>;

class runner_base;

/// Where an attempt on a chain of its own leaves its outcome, in the frame that waits for it.
struct sink_base {
  /// The chain, until the attempt has ended or was left behind. For the attempt's place only.
  runner_base* chain = nullptr;
  cancel_reason cancelled = cancel_reason::none;
};
template <class U>
struct attempt_sink : sink_base {
  std::optional<value_of<U>> value;
  std::exception_ptr exception;

  void take(std::optional<value_of<U>>& from, std::exception_ptr e) noexcept try {
    exception = std::move(e);
    if (from) value.emplace(std::move(*from));
  } catch (...) {
    exception = std::current_exception();  // out of the move of the value
  }
};

/// A coroutine chain of our own, with its own executor and cancellation, which runs one attempt after
/// another. Started once, then parked: the next attempt resumes it. Needed if the attempt cannot be
/// cancelled in the caller's chain: an awaitable that takes no token, an executor that serialises
/// nothing, or a timeout that may leave the attempt behind.
///
///                   launch                 the call ends, home again
///     +--------+  ---------->  +---------+  ------------------------->  +--------+
///     | parked |               | running |                              | parked |  waiter resumed
///     +--------+               +---------+  --- detach: waiter          +--------+
///                                                resumed ----> left ------^  (the call ends)
///
/// Everything here happens under the gate of the attempt's scope. A timer of ours fires in `ring`
/// only, and touches an attempt that runs, or nothing.
class runner_base : public home, private deadline_alarm {
 public:
  /// What the attempt sees, if it asks.
  attempt_context context;

  /// Keeps something until the attempt has ended. Before `launch`.
  void keep(std::shared_ptr<void> alive) { keep_alive_ = std::move(alive); }

 protected:
  explicit runner_base(parked_runners& pool)
      : context(where()), chain_(*this, &on_told), link_(*this, &on_outer), pool_(pool) {
    serve(context.scope());
  }
  ~runner_base() override { deadline_alarm::stop(); }

  /// Starts the chain, which runs to its parking place.
  void spawn(asio::awaitable<void> chain);
  /// Gives the chain another place, if nothing keeps an executor of the place that it has.
  bool move_to(const place& target);
  /// Ends a parked chain; this object goes with it.
  void dismiss() noexcept;

  /// Runs an attempt at the chain's place, which is where this is called. Takes `waiter`, which is
  /// resumed on its own executor when the outcome is in `sink`, or the attempt was left behind. The
  /// cancellation of `outer`, if there is one, is the attempt's. Throws before anything has begun.
  void launch(const deadline_scope& limit, sink_base& sink, resumption& waiter,
              cancellation_scope* outer);

  /// The chain waits for an attempt: stores how to resume it, then delivers the last outcome.
  template <class Handler>
  void park(Handler&& handler) {
    parked_.store(std::forward<Handler>(handler));
    deliver();
  }
  void attempt_started();
  /// The attempt has ended elsewhere: resumes the chain at its place.
  template <class Handler>
  void go_home(Handler&& handler) {
    parked_.store(std::forward<Handler>(handler));
    post_home();
  }
  void attempt_ended() noexcept;
  /// The chain is destroyed instead of resumed: the operation goes with it, after the attempt, which
  /// may refer to it.
  struct drop_waiter_with_chain {
    runner_base& runner;
    ~drop_waiter_with_chain() { runner.dropped(); }
  };

  /// Forgets the place for the outcome: the operation has gone.
  virtual void abandon_sink() noexcept = 0;
  /// Returns the runner to its pool: from here on another operation may own it.
  void recycle() noexcept;

 private:
  friend class parked_runners;
  enum class phase : std::uint8_t { parked, running, left };

  struct listener : scope_listener {
    listener(runner_base& r, teller t) noexcept : scope_listener(t), runner(r) {}
    runner_base& runner;
  };
  static void on_told(scope_listener& chain, asio::cancellation_type_t type);
  static void on_outer(scope_listener& link, asio::cancellation_type_t type);

  bool claim_ring() noexcept override;
  const place& place_of_alarm() const noexcept override { return where(); }
  void ring() noexcept override;
  void turn_over() noexcept override;
  void unused() noexcept override;
  sync::atomic<unsigned>& pins() noexcept override;

  void deliver();
  void dropped() noexcept;
  void post_home();
  void look();
  void cancel_if_home() noexcept;
  void leave_if_due();
  void end_left() noexcept;
  void arm();
  void arm_again() noexcept;

  asio::cancellation_signal signal_;
  listener chain_;  // hears the attempt's scope
  listener link_;   // hears the operation's
  deadline_scope limit_;
  sync::atomic<bool> deadline_rung_{false};
  sink_base* sink_ = nullptr;
  resumption parked_;
  resumption waiter_;
  std::shared_ptr<void> keep_alive_;
  detached_call detached_;
  time_point look_at_ = never;
  time_point leave_at_ = never;
  time_point armed_for_ = never;
  std::uint8_t kept_ = 0;  // types of cancellation that the chain has yet to hear
  phase phase_ = phase::parked;

  parked_runners& pool_;
  runner_base* next_free_ = nullptr;
  bool is_free_ = false;  // under the pool's lock
};

template <class U>
class runner_pool;

template <class U>
class runner final : public runner_base {
 public:
  /// Makes the attempt, still suspended.
  template <class Make>
  void prepare(Make&& make) {
    attempt_.emplace(make(context));
  }

  /// Gives up what is prepared, and goes back.
  void withdraw() noexcept {
    attempt_.reset();
    typed_sink_ = nullptr;
    recycle();
  }

  /// Runs what is prepared; see `launch`. If this throws, the runner is to be withdrawn.
  void start(attempt_sink<U>& sink, const deadline_scope& limit, resumption& waiter,
             cancellation_scope* outer) {
    typed_sink_ = &sink;
    launch(limit, sink, waiter, outer);
  }

 private:
  friend class runner_pool<U>;

  explicit runner(parked_runners& pool) : runner_base(pool) {}

  asio::awaitable<void> run() {
    const drop_waiter_with_chain guard{*this};
    for (;;) {
      // Of a new chain, and again so that no attempt inherits what the last, or its cancellation,
      // left behind. Each type is let through: the caller's own filter has spoken already.
      co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
      co_await asio::this_coro::throw_if_cancelled(true);
      co_await asio::async_initiate<const asio::deferred_t, void()>(
          [this](auto handler) { this->park(std::move(handler)); }, asio::deferred);
      std::optional<value_of<U>> value;
      std::exception_ptr exception;
      try {
        asio::awaitable<U> attempt = std::move(*attempt_);
        attempt_.reset();
        attempt_started();
        if constexpr (std::is_void_v<U>) {
          co_await std::move(attempt);
          value.emplace();
        } else {
          value.emplace(co_await std::move(attempt));
        }
      } catch (...) {
        exception = std::current_exception();
      }
      co_await asio::this_coro::throw_if_cancelled(false);
      if (!here()) [[unlikely]] {
        co_await asio::async_initiate<const asio::deferred_t, void()>(
            [this](auto handler) { this->go_home(std::move(handler)); }, asio::deferred);
      }
      if (typed_sink_) typed_sink_->take(value, std::move(exception));
      typed_sink_ = nullptr;
      attempt_ended();
    }
  }

  void abandon_sink() noexcept override { typed_sink_ = nullptr; }

  std::optional<asio::awaitable<U>> attempt_;
  attempt_sink<U>* typed_sink_ = nullptr;
};

/// Makes runners of one type, on one execution context, where none is parked.
template <class U>
class runner_pool final : public asio::execution_context::service, public parked_runners {
 public:
  using key_type = runner_pool;
  static inline asio::execution_context::id id;

  explicit runner_pool(asio::execution_context& context)
      : service(context), parked_runners(time_service::of(context)) {}
  ~runner_pool() { service_epoch.fetch_add(1, std::memory_order_relaxed); }

  static runner_pool& of(asio::execution_context& context) {
    return service_cache<runner_pool>::get(context);
  }

  /// A runner at that place.
  static runner<U>& acquire(const place& where) {
    auto& pool = of(where.time().context());
    runner_base* const parked = pool.take(where);
    return parked ? static_cast<runner<U>&>(*parked) : pool.make(where);
  }

 private:
  void shutdown() noexcept override { end(); }

  runner<U>& make(const place& where) {
    auto* const r = new runner<U>(*this);
    const home_executor alive(*r);  // the last executor deletes it
    r->move_to(where);
    r->spawn(r->run());
    return *r;
  }
};

}  // namespace holdfast::detail

#endif
