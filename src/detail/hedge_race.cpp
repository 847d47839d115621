// SPDX-License-Identifier: BSL-1.0
#include <boost/asio/dispatch.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <holdfast/detail/hedge_race.hpp>
#include <holdfast/ledger.hpp>
#include <new>

namespace holdfast::detail {

namespace {

/// A strand of the race's own over the executor.
asio::any_io_executor own_strand(const asio::any_io_executor& executor) {
  // Of the concrete type, which fits into an any_io_executor: copies of it then allocate nothing.
  if (const auto* io = executor.target<asio::io_context::executor_type>()) {
    return asio::make_strand(*io);
  }
  if (const auto* pool = executor.target<asio::thread_pool::executor_type>()) {
    return asio::make_strand(*pool);
  }
  return asio::make_strand(executor);
}

}  // namespace

race_base::race_base(operation& op, hedge_core& core, bool counts)
    : op_(op),
      time_(op.time()),
      core_(core),
      rules_(core.current()),
      own_strand_(!op.home.serial()),
      executor_(own_strand_ ? asio::any_io_executor(own_strand(op.home.executor()))
                            : op.home.executor()),
      home_(executor_),
      plan_(hedging() ? 1 + rules_->options.max_hedges : 1),
      caller_(*this,
              [](scope_listener& l, asio::cancellation_type_t) {
                static_cast<listener&>(l).race.cancel_for_caller();
              }),
      counts_(counts) {}

race_base::~race_base() {
  deadline_alarm::stop();
  forget_caller();
}

void race_base::forget_caller() noexcept { cancellation_scope::unlink(caller_, false); }

bool race_base::hedging() const noexcept {
  return op_.idempotent() || rules_->options.hedge_non_idempotent;
}

void race_base::begin(resumption& waiter) {
  resumption starts;
  if (own_strand_) {
    starts = resumption(executor_, [self = shared_from_this()] { self->start(); });
    starts.reserve();
    cancel_memory_.reserve(post_memory::blocks_for(executor_));
  }
  // In a context that one thread runs, resuming on the spot is the way out without memory.
  if (home_.serialised_by() != affinity::context) waiter.reserve();
  waiter_ = std::move(waiter);
  op_.scope().link(caller_, false);
  if (!own_strand_) return start();
  try {
    starts.dispatch();
  } catch (...) {  // on an executor of the user's
    waiter = std::move(waiter_);
    throw;
  }
}

void race_base::start() {
  // The attempts own the race from here on; until the first does, this keeps it.
  const auto self = shared_from_this();
  core_.count_operation();
  if (cancelled_) plan_.settle();  // between the suspension and this moment, on another thread
  if (plan_.may_start()) delay_ = hedge_core::delay(*rules_, time_.precise_now());
  start_next();
}

void race_base::cancel_for_caller() {
  if (!own_strand_) return cancel();
  resumption cancels(executor_, [self = shared_from_this()] { self->cancel(); });
  cancels.reserve(std::move(cancel_memory_));
  cancels.post();
}

bool race_base::start_hedge() {
  const time_point now = time_.precise_now();
  if (now >= op_.limit.at || !core_.allow_hedge(now)) {
    plan_.start_no_more();
    return false;
  }
  core_.count_hedge();
  start_next();
  return true;
}

void race_base::start_next() {
  const unsigned attempt = plan_.start();
  started_[attempt] = time_.precise_now();
  if (counts_) numbers_[attempt] = op_.number_attempt();
  running_[attempt] = true;
  std::exception_ptr thrown;
  try {
    if (cancelled_) {
      thrown = std::make_exception_ptr(
          boost::system::system_error(make_error_code(errc::cancelled)));
    } else {
      launch(attempt);
    }
  } catch (...) {
    thrown = std::current_exception();
  }
  if (thrown) return ended(attempt, false, std::move(thrown));
  // Without memory an attempt may have ended on this stack, and the operation with it.
  if (!running_[attempt] || !plan_.may_start()) return;
  if (delay_ != duration::zero()) return arm();
  static_cast<void>(start_hedge());
}

void race_base::arm() try {
  deadline_alarm::start(saturating_add(time_.precise_now(), delay_));
} catch (const std::bad_alloc&) {
  plan_.start_no_more();  // the attempts that run are enough
}

bool race_base::claim_ring() noexcept {
  ringing_ = weak_from_this().lock();
  return ringing_ != nullptr;
}

void race_base::ring() noexcept try {
  const auto self = std::move(ringing_);
  // A new chain starts in place only from within its executor, and a timer may be anywhere.
  asio::dispatch(executor_, [self] {
    if (self->plan_.running() > 0 && self->plan_.may_start()) self->start_hedge();
  });
} catch (const std::bad_alloc&) {
  // Without a hedge, then.
}

void race_base::ended(unsigned attempt, bool may_resume_inline, std::exception_ptr thrown) {
  const bool lost = plan_.settled();
  running_[attempt] = false;
  const verdict judged = conclude_attempt(attempt, std::move(thrown));
  const verdict v = lost || cancelled_ ? verdict::neutral : judged;
  // What a loser would have taken is not known, but it is no less than this: without it the
  // percentile would sink as hedges win.
  const bool tells_latency = is_answer(v) || (lost && attempt == 0);
  if (tells_latency && !cancelled_) {
    const time_point now = time_.precise_now();
    hedge_core::record(*rules_, now - started_[attempt], now);
  }
  const bool again = plan_.end(attempt, v);
  record(attempt, v);
  if (plan_.settled() && !lost) {
    deadline_alarm::stop();
    stop_losers();
  }
  if (again && start_hedge()) return;
  if (plan_.over()) finish(may_resume_inline);
}

void race_base::stop_losers() {
  for (unsigned i = 0; i < plan_.started(); ++i) {
    if (running_[i]) stop(i);
  }
}

void race_base::record(unsigned attempt, verdict v) {
  if (!counts_ || !op_.options.ledger) return;
  op_.record_attempt(numbers_[attempt], started_[attempt], v, code_of(attempt));
}

void race_base::cancel() {
  if (cancelled_) return;
  cancelled_ = true;
  plan_.settle();
  deadline_alarm::stop();
  stop_losers();
}

void race_base::finish(bool may_resume_inline) {
  // A loser may have ended while it was being stopped, and this with it.
  if (std::exchange(finished_, true)) return;
  deadline_alarm::stop();
  const unsigned chosen = plan_.chosen().value_or(0);
  if (chosen > 0 && plan_.answered()) core_.count_win();
  deliver(chosen);
  forget_caller();
  resumption waiter = std::move(waiter_);
  if (!waiter) return;
  if (home_.serialised_by() != affinity::context) {
    waiter.post();
  } else if (op_.home.within_chain()) {
    waiter.dispatch_or_resume();
  } else if (may_resume_inline) {
    waiter.resume();
  } else {
    waiter.post_or_resume();
  }
}

}  // namespace holdfast::detail
