// SPDX-License-Identifier: BSL-1.0
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <holdfast/detail/detach_state.hpp>
#include <holdfast/detail/runner.hpp>
#include <new>

namespace holdfast::detail {

void attempt_context::keep_identity() {
  if (tags_) tags_ = &kept_tags_.emplace(*tags_);
  if (!caller_ || (caller_->tenant.empty() && caller_->session == 0)) return;
  const std::uint64_t session = caller_->session;
  auto& kept = kept_caller_.emplace(kept_caller{std::string(caller_->tenant), {}});
  kept.options.tenant = kept.tenant;
  kept.options.session = session;
  caller_ = &kept.options;
}

runner_base::runner_base(time_service& time, asio::any_io_executor executor, affinity serialised_by,
                         bool reused)
    : context(time),
      time_(time),
      executor_(std::move(executor)),
      serialised_by_(serialised_by),
      work_(executor_),
      reused_(reused && work_.known()) {}

void runner_base::spawn(asio::awaitable<void> chain) {
  // Goes with the chain, and after it. A chain that is destroyed before its first line has not come
  // to its guard: the operation that waits for it must go with it all the same.
  struct end_of_chain {
    explicit end_of_chain(std::shared_ptr<runner_base> r) noexcept : self(std::move(r)) {}
    end_of_chain(end_of_chain&&) noexcept = default;
    ~end_of_chain() {
      if (self) self->waiter_.drop();
    }
    void operator()(const std::exception_ptr&) const noexcept {}
    std::shared_ptr<runner_base> self;
  };
  // A handler without an executor of its own: the chain then counts as exactly one piece of work,
  // which `parked` and `launch` take back and return.
  asio::co_spawn(
      executor_, std::move(chain),
      asio::bind_cancellation_slot(signal_.slot(), end_of_chain(shared_from_this())));
}

void runner_base::launch(const deadline_scope& limit, sink_base& sink, resumption& waiter) {
  // A new chain on an executor that runs nothing inline has yet to come to its parking place; what
  // is handed to the executor now comes after that.
  const bool elsewhere = serialised_by_ == affinity::none || !parked_;
  resumption begins;
  if (elsewhere) {
    begins = resumption(executor_, [self = shared_from_this()] { self->begin(); });
    begins.reserve();
  }
  // In a context that one thread runs, resuming on the spot is the way out without memory.
  if (serialised_by_ != affinity::context) waiter.reserve();
  if (serialised_by_ == affinity::none) {
    cancel_memory_.reserve(post_memory::blocks_for(executor_));
  }
  limit_ = limit;
  sink_ = &sink;
  waiter_ = std::move(waiter);
  if (reused_) work_.up();
  if (!elsewhere) return begin();
  try {
    // Once it has been handed over, the operation may end at any moment, on another thread.
    begins.dispatch();
  } catch (...) {  // on an executor of the user's
    if (reused_) work_.down();
    sink_ = nullptr;
    waiter = std::move(waiter_);
    throw;
  }
}

void runner_base::begin() noexcept {
  launching_ = true;
  resume_chain();
  launching_ = false;
}

void runner_base::resume_chain() noexcept {
  try {
    parked_.resume();
  } catch (const std::bad_alloc&) {
    // The chain has ended, and Asio had no memory to tell its handler, which does nothing.
  }
}

void runner_base::parked() {
  if (withdrawn_) return resume_chain();
  if (reused_) work_.down();
  if (std::exchange(fresh_, false)) return;
  deliver();
}

void runner_base::attempt_started() {
  job_.fetch_add(1, std::memory_order_relaxed);
  if (limit_.at != never) arm(limit_.at);
}

void runner_base::attempt_ended() noexcept {
  job_.fetch_add(1, std::memory_order_relaxed);
  deadline_alarm::stop(time_);
  in_grace_ = false;
  context.report_cost();
  sink_ = nullptr;
  if (detached_) {
    detached_->running.fetch_sub(1, std::memory_order_relaxed);
    detached_.reset();
  }
}

void runner_base::deliver() {
  keep_alive_.reset();
  resumption waiter = std::move(waiter_);
  // Inline only where that neither nests in the waiter's own suspension nor holds our strand.
  const bool inline_ = reused_ && serialised_by_ == affinity::context && !launching_;
  if (reused_) recycle();
  if (!waiter) return;
  if (inline_) {
    waiter.resume();
  } else if (serialised_by_ == affinity::context) {
    waiter.post_or_resume();
  } else {
    waiter.post();
  }
}

void runner_base::arm(time_point deadline) {
  if (serialised_by_ == affinity::context) {
    deadline_alarm::start(time_, deadline);
  } else {
    deadline_alarm::start_on(executor_, time_, deadline);
  }
}

void runner_base::ring() {
  if (!in_grace_) {
    if (sink_) sink_->timed_out = true;
    context.cancel_attempt(signal_, cancel_reason::deadline);
    if (!limit_.detach || !waiter_) return;
    in_grace_ = true;
    const time_point leave_at = saturating_add(limit_.detach_at, limit_.detach->grace);
    if (leave_at > time_.precise_now()) {
      deadline_alarm::stop(time_);
      try {
        return arm(leave_at);
      } catch (const std::bad_alloc&) {
        // No grace, then: nobody would end it.
      }
    }
  }
  give_up();
}

void runner_base::give_up() {
  // The cancellation may have ended the attempt already; it is then on its way to the waiter.
  if (!waiter_ || !sink_) return;
  detach_state& state = *limit_.detach;
  if (state.running.fetch_add(1, std::memory_order_relaxed) >= state.limit) {
    state.running.fetch_sub(1, std::memory_order_relaxed);
    return;  // as many as may be are left behind: this one is waited for
  }
  detached_ = state.shared_from_this();
  abandon_sink();
  context.report_cost();
  sink_ = nullptr;
  if (serialised_by_ == affinity::context) {
    waiter_.post_or_resume();
  } else {
    waiter_.post();
  }
}

void runner_base::cancel_for_caller(std::uint64_t job) {
  // One that has been handed to the executor and has not begun is cancelled after it has.
  if (serialised_by_ != affinity::none && this->job() >= job) {
    if (this->job() == job) context.cancel_attempt(signal_, cancel_reason::caller);
    return;
  }
  resumption cancels(executor_, [self = shared_from_this(), job] {
    if (self->job() == job) {
      self->context.cancel_attempt(self->signal_, cancel_reason::caller);
    }
  });
  cancels.reserve(std::move(cancel_memory_));
  cancels.post();
}

void runner_base::give_back_unused() noexcept {
  keep_alive_.reset();
  if (reused_) return recycle();
  // It ends by itself: Asio would post the destruction of a suspended chain, and terminate where
  // there is no memory for that.
  withdrawn_ = true;
  if (parked_) resume_chain();
}

asio::execution_context::id runner_registry::id;

void runner_registry::add(std::shared_ptr<runner_base> runner) {
  const std::lock_guard lock(mutex_);
  runners_.push_back(std::move(runner));
}

void runner_registry::remove(const runner_base& runner) noexcept {
  const std::lock_guard lock(mutex_);
  std::erase_if(runners_, [&](const auto& r) { return r.get() == &runner; });
}

void runner_registry::shutdown() noexcept {
  // Outside the lock: what is dropped may run destructors of users' objects.
  std::vector<std::shared_ptr<runner_base>> all;
  {
    const std::lock_guard lock(mutex_);
    all.swap(runners_);
  }
  // A busy runner's chain is held by the operation that it awaits, and goes with that.
  for (auto& r : all) r->parked_.drop();
  graveyard_.swap(all);
}

asio::any_io_executor own_strand(const asio::any_io_executor& executor) {
  // Of the concrete type, which fits into an any_io_executor: copies of it then allocate nothing.
  const auto base = base_executor(executor);
  if (const auto* io = base.target<asio::io_context::executor_type>())
    return asio::make_strand(*io);
  if (const auto* pool = base.target<asio::thread_pool::executor_type>())
    return asio::make_strand(*pool);
  return asio::make_strand(base);
}

}  // namespace holdfast::detail
