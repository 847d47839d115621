// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_RUNNER_HPP
#define HOLDFAST_DETAIL_RUNNER_HPP

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/this_coro.hpp>
#include <exception>
#include <holdfast/detail/deadline_alarm.hpp>
#include <holdfast/detail/operation.hpp>
#include <holdfast/detail/resumption.hpp>
#include <holdfast/detail/sync.hpp>
#include <holdfast/detail/work_count.hpp>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

namespace holdfast::detail {

/// `void` as a value.
template <class U>
using value_of = std::conditional_t<std::is_void_v<U>, std::monostate, U>;

/// Where an attempt on a chain of its own leaves its outcome, in the frame that waits for it.
struct sink_base {
  bool timed_out = false;
};
template <class U>
struct attempt_sink : sink_base {
  std::optional<value_of<U>> value;
  std::exception_ptr exception;
};

/// The context of an attempt that runs on a chain of its own, and may outlive its operation.
class attempt_context : public call_context {
 public:
  explicit attempt_context(time_service& time) noexcept : call_context(time) {}
  void begin(operation& op, unsigned attempt) {
    operation_ = &op;
    settled_ = unsettled;
    signal_.slot().clear();
    deadline_ = op.deadline();
    attempt_ = attempt;
    reason_ = cancel_reason::none;
    tags_ = op.tags();
    caller_ = op.caller();
    priority_ = op.priority();
    idempotent_ = op.idempotent();
    if (op.limit.detach) keep_identity();
  }
  /// Hands what the attempt has cost to its operation, and lets go of that: the attempt has ended,
  /// or is left behind.
  void report_cost() noexcept {
    if (operation* op = std::exchange(operation_, nullptr)) op->charge(*this);
  }

  /// The operation that waits for the attempt; null if none does any more.
  operation* whole() const noexcept { return operation_; }

  /// Cancels the chain, and through it whatever the attempt awaits with this context's token.
  void cancel_attempt(asio::cancellation_signal& chain, cancel_reason why) {
    reason_ = why;
    chain.emit(asio::cancellation_type::all);
    // An operation that was given `slot()` itself is not connected to the chain.
    signal_.emit(asio::cancellation_type::all);
  }

 private:
  void keep_identity();

  struct kept_caller {
    std::string tenant;
    call_options options;
  };
  std::optional<tag_set> kept_tags_;
  operation* operation_ = nullptr;  // null once the operation has gone on without the attempt
  std::optional<kept_caller> kept_caller_;
};

/// A coroutine chain of our own, with its own cancellation, which runs one attempt after another.
///
/// To start a chain for each attempt costs two coroutine frames and several trips through the
/// executor. A runner is started once and then parked: the next attempt resumes it. Needed where
/// the attempt cannot be cancelled in the caller's chain: an awaitable that takes no token, or an
/// executor on which the cancellation would race with the chain.
///
/// Everything from `start` to the resumption of the waiter happens on the runner's executor.
class runner_base : public std::enable_shared_from_this<runner_base>, private deadline_alarm {
 public:
  runner_base(time_service& time, asio::any_io_executor executor, affinity serialised_by,
              bool reused);
  runner_base(const runner_base&) = delete;
  virtual ~runner_base() { deadline_alarm::stop(time_); }

  /// The number of the attempt that is started next.
  std::uint64_t next_job() const noexcept { return job() + 1; }

  /// Cancels the attempt with that number; nothing if it is over. From the operation's executor.
  void cancel_for_caller(std::uint64_t job);

  /// Returns a runner that was acquired and not started.
  void give_back_unused() noexcept;

  /// Keeps something until the attempt has ended. Before `start`.
  void keep(std::shared_ptr<void> alive) { keep_alive_ = std::move(alive); }

  /// What the attempt sees, if it asks. Written between `acquire` and `start`.
  attempt_context context;

 protected:
  friend class runner_registry;

  /// Starts the chain itself, once.
  void spawn(asio::awaitable<void> chain);

  /// Hands the chain its next attempt and lets it go. Takes `waiter`, or throws.
  void launch(const deadline_scope& limit, sink_base& sink, resumption& waiter);

  /// The chain waits for an attempt: stores how to resume it, then delivers the last outcome.
  template <class Handler>
  void park(Handler&& handler) {
    parked_.store(std::forward<Handler>(handler));
    parked();
  }
  struct drop_waiter_with_chain {
    runner_base& runner;
    ~drop_waiter_with_chain() { runner.waiter_.drop(); }
  };

  /// Whether the chain is to end without an attempt.
  bool withdrawn() const noexcept { return withdrawn_; }
  void attempt_started();
  void attempt_ended() noexcept;
  void deliver();

  /// Forgets the place for the outcome: the operation has gone.
  virtual void abandon_sink() noexcept = 0;
  /// Returns the runner to its pool: from here on another operation may own it.
  virtual void recycle() noexcept = 0;

  time_service& time_;
  const asio::any_io_executor executor_;
  const affinity serialised_by_;  // `none`: the executor is a strand of our own
  const work_count work_;
  const bool reused_;

 private:
  std::uint64_t job() const noexcept { return job_.load(std::memory_order_relaxed); }
  void begin() noexcept;
  void resume_chain() noexcept;
  void parked();
  void arm(time_point deadline);
  void ring() override;
  void give_up();

  asio::cancellation_signal signal_;
  deadline_scope limit_;
  sync::atomic<std::uint64_t> job_{0};  // odd while an attempt is running
  sink_base* sink_ = nullptr;
  resumption parked_;
  resumption waiter_;
  post_memory cancel_memory_;  // for the caller's cancellation, where it has to be posted
  std::shared_ptr<void> keep_alive_;
  std::shared_ptr<detach_state> detached_;  // set while the attempt runs on without its operation
  bool fresh_ = true;
  bool withdrawn_ = false;
  bool launching_ = false;
  bool in_grace_ = false;
};

/// The reusable runners of one execution context, of all types, so that its shutdown finds every
/// coroutine that is suspended in them.
class runner_registry final : public asio::execution_context::service {
 public:
  using key_type = runner_registry;
  static asio::execution_context::id id;

  explicit runner_registry(asio::execution_context& context) : service(context) {}

  void add(std::shared_ptr<runner_base> runner);
  void remove(const runner_base& runner) noexcept;

 private:
  void shutdown() noexcept override;

  sync::mutex mutex_;
  std::vector<std::shared_ptr<runner_base>> runners_;
  // Frames that the context destroys after our shutdown still refer to their runners.
  std::vector<std::shared_ptr<runner_base>> graveyard_;
};

/// A strand of our own over the executor, for attempts that a timer on any thread may cancel.
asio::any_io_executor own_strand(const asio::any_io_executor& executor);

template <class U>
class runner_pool;

template <class U>
class runner final : public runner_base {
 public:
  using runner_base::runner_base;

  /// Makes the attempt, still suspended; the runner goes back if that throws.
  template <class Make>
  void prepare(Make&& make) {
    try {
      attempt_.emplace(make(context));
    } catch (...) {
      give_back_unused();
      throw;
    }
  }

  /// Gives up what is prepared, and goes back.
  void withdraw() noexcept {
    attempt_.reset();
    typed_sink_ = nullptr;
    give_back_unused();
  }

  /// Runs what is prepared. `waiter` is resumed, on its own executor, when the outcome is in
  /// `sink`, or when the attempt was left running by a detaching timeout. Where this throws, the
  /// waiter is still there, and the runner is to be withdrawn.
  void start(attempt_sink<U>& sink, const deadline_scope& limit, resumption& waiter) {
    typed_sink_ = &sink;
    launch(limit, sink, waiter);
  }

 private:
  friend class runner_pool<U>;

  asio::awaitable<void> run() {
    // Where the chain is destroyed instead of resumed, the operation goes after the attempt, which
    // may refer to it.
    const drop_waiter_with_chain guard{*this};
    do {
      co_await asio::async_initiate<const asio::deferred_t, void()>(
          [this](auto handler) { this->park(std::move(handler)); }, asio::deferred);
      if (withdrawn()) co_return;
      std::exception_ptr exception;
      try {
        asio::awaitable<U> attempt = std::move(*attempt_);
        attempt_.reset();
        attempt_started();
        if constexpr (std::is_void_v<U>) {
          co_await std::move(attempt);
          if (typed_sink_) typed_sink_->value.emplace();
        } else {
          U value = co_await std::move(attempt);
          if (typed_sink_) typed_sink_->value.emplace(std::move(value));
        }
      } catch (...) {
        exception = std::current_exception();
      }
      if (typed_sink_) typed_sink_->exception = std::move(exception);
      typed_sink_ = nullptr;
      attempt_ended();
      // The next attempt must not inherit what this one, or its cancellation, left behind.
      co_await asio::this_coro::reset_cancellation_state();
      co_await asio::this_coro::throw_if_cancelled(true);
    } while (reused_);
    deliver();
  }

  std::shared_ptr<runner> self() { return std::static_pointer_cast<runner>(shared_from_this()); }
  void abandon_sink() noexcept override { typed_sink_ = nullptr; }
  void recycle() noexcept override { pool_->give_back(*this); }

  std::optional<asio::awaitable<U>> attempt_;
  attempt_sink<U>* typed_sink_ = nullptr;
  runner_pool<U>* pool_ = nullptr;
  runner* next_free_ = nullptr;
};

/// Parked runners of one type, on one execution context.
template <class U>
class runner_pool final : public asio::execution_context::service {
 public:
  using key_type = runner_pool;
  static inline asio::execution_context::id id;

  explicit runner_pool(asio::execution_context& context)
      : service(context), registry_(asio::use_service<runner_registry>(context)) {}
  ~runner_pool() { service_epoch.fetch_add(1, std::memory_order_relaxed); }

  /// A runner on the executor, or on a strand of its own over it where nobody serialises that.
  static std::shared_ptr<runner<U>> acquire(time_service& time, affinity serialised_by,
                                            const asio::any_io_executor& executor) {
    return service_cache<runner_pool>::get(time.context()).take(time, serialised_by, executor);
  }

  void give_back(runner<U>& r) noexcept {
    const std::lock_guard lock(mutex_);
    auto& list = free_list(r.serialised_by_);
    r.next_free_ = list;
    list = &r;
  }

 private:
  void shutdown() noexcept override {}

  std::shared_ptr<runner<U>> take(time_service& time, affinity serialised_by,
                                  const asio::any_io_executor& executor) {
    {
      const std::lock_guard lock(mutex_);
      auto& list = free_list(serialised_by);
      if (serialised_by != affinity::strand && list) {
        auto r = list->self();
        list = list->next_free_;
        return r;
      }
    }
    return make(time, serialised_by, executor);
  }

  std::shared_ptr<runner<U>> make(time_service& time, affinity serialised_by,
                                  const asio::any_io_executor& executor) {
    const bool own = serialised_by == affinity::none;
    // A strand of the user's is a place of its own: runners on it are not shared.
    const bool reused = serialised_by != affinity::strand;
    auto r = std::make_shared<runner<U>>(time, own ? own_strand(executor) : executor,
                                         serialised_by, reused);
    r->pool_ = this;
    if (r->reused_) registry_.add(r);
    try {
      r->spawn(r->run());
    } catch (...) {
      registry_.remove(*r);
      throw;
    }
    return r;
  }

  runner<U>*& free_list(affinity a) noexcept {
    return a == affinity::none ? free_on_strands_ : free_in_context_;
  }

  runner_registry& registry_;
  sync::mutex mutex_;
  runner<U>* free_in_context_ = nullptr;
  runner<U>* free_on_strands_ = nullptr;
};

}  // namespace holdfast::detail

#endif
