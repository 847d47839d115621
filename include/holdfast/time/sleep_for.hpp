// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_TIME_SLEEP_FOR_HPP
#define HOLDFAST_TIME_SLEEP_FOR_HPP

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <holdfast/clock.hpp>
#include <holdfast/detail/wait_state.hpp>
#include <memory>
#include <utility>

namespace holdfast {

namespace detail {

/// One sleep: owns itself until its handler is called or dropped.
template <class Handler>
class sleep_operation {
 public:
  static void start(Handler handler, time_point until_or_never, duration d, bool relative) {
    completion done{nullptr, std::move(handler)};
    try {
      done.op = std::make_unique<sleep_operation>(asio::get_associated_executor(done.handler));
      auto& self = *done.op;
      auto& time = time_service::of(self.executor_);
      self.wait_.prepare(time, asio::get_associated_cancellation_slot(done.handler));
      self.wait_.start(relative ? saturating_add(time.precise_now(), d) : until_or_never,
                       std::move(done));
    } catch (const std::bad_alloc&) {
      // Nothing can be posted without memory, and nothing that is thrown out of here reaches a
      // coroutine that awaits this.
      done.op.reset();
      std::move(done.handler)(make_error_code(boost::system::errc::not_enough_memory));
    }
  }

  explicit sleep_operation(asio::any_io_executor executor)
      : executor_(std::move(executor)), work_(executor_) {}

 private:
  /// Keeps the operation until it runs: dropped with the execution context, it takes it along.
  struct completion {
    using executor_type = asio::any_io_executor;
    executor_type get_executor() const noexcept { return op->executor_; }

    void operator()() {
      const auto ec = error_of(op->wait_.finish());
      op.reset();  // before the handler, which may sleep again
      std::move(handler)(ec);
    }

    std::unique_ptr<sleep_operation> op;
    Handler handler;
  };

  asio::any_io_executor executor_;
  // The timer is no work of the context, but a sleep is: `run()` waits for it.
  asio::executor_work_guard<asio::any_io_executor> work_;
  wait_state wait_;
};

struct initiate_sleep {
  template <class Handler>
  void operator()(Handler&& handler, time_point until, duration d, bool relative) const {
    sleep_operation<std::decay_t<Handler>>::start(std::forward<Handler>(handler), until, d,
                                                  relative);
  }
};

}  // namespace detail

/// Sleeps for a time, in the time of the handler's execution context: virtual under
/// `testing::virtual_time`.
///
/// Completes after `d`, with `void(error_code)`: no error, or `operation_aborted` if cancelled
/// (every cancellation type), or `not_enough_memory`. Never completes from within this function,
/// except where there is no memory. Inside a protected call, pass `ctx.token()`. Cost: one
/// allocation, and one that is recycled by Asio's threads. Thread safety: to be started from a
/// handler of the executor, or while nothing runs its context.
template <class Token = asio::deferred_t>
auto sleep_for(duration d, Token&& token = {}) {
  return asio::async_initiate<Token, void(boost::system::error_code)>(
      detail::initiate_sleep(), token, time_point(), d, true);
}

/// Sleeps until a time; otherwise as `sleep_for`.
template <class Token = asio::deferred_t>
auto sleep_until(time_point t, Token&& token = {}) {
  return asio::async_initiate<Token, void(boost::system::error_code)>(
      detail::initiate_sleep(), token, t, duration(), false);
}

}  // namespace holdfast

#endif
