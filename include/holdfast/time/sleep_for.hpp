// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_TIME_SLEEP_FOR_HPP
#define HOLDFAST_TIME_SLEEP_FOR_HPP

#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>
#include <holdfast/clock.hpp>
#include <holdfast/detail/waiting_operation.hpp>
#include <type_traits>
#include <utility>

namespace holdfast {

namespace detail {

/// What a sleep waits for: a `time_point`, or that a `duration` has passed.
template <class When>
class wake_time {
 public:
  explicit wake_time(When when) noexcept : when_(when) {}

  wait_state& wait() noexcept { return wait_; }
  time_point begin(time_service& time) const noexcept {
    if constexpr (std::is_same_v<When, duration>) {
      return saturating_add(time.precise_now(), when_);
    } else {
      return when_;
    }
  }
  void end() noexcept {}

 private:
  const When when_;
  wait_state wait_;
};

struct initiate_sleep {
  template <class Handler, class When>
  void operator()(Handler&& handler, When when) const {
    waiting_operation<std::decay_t<Handler>, wake_time<When>>::start(
        std::forward<Handler>(handler), when);
  }
};

struct initiate_sleep_on {
  template <class Handler, class When>
  void operator()(Handler&& handler, asio::any_io_executor executor, When when) const {
    using homeward = homeward_handler<std::decay_t<Handler>>;
    waiting_operation<homeward, wake_time<When>>::start(
        homeward(std::move(executor), std::forward<Handler>(handler)), when);
  }
};

}  // namespace detail

/// Sleeps for a time, in the time of the handler's execution context: virtual under
/// `testing::virtual_time`.
///
/// Completes `d` after this function was called, with `void(error_code)`: no error, or
/// `operation_aborted` if cancelled (every cancellation type), or `not_enough_memory`. Never
/// completes from within this function, except if there is no memory. Inside a protected call, pass
/// `ctx.token()`.
///
/// The sleep runs on the handler's executor; a token whose handler has none does not compile.
/// Throws `std::invalid_argument` if that executor is hidden in an `any_completion_handler` and is
/// none of Asio's. Thread safety: safe, from any thread. Cost: one allocation, and one that is
/// recycled by Asio's threads.
template <class Token = asio::deferred_t>
auto sleep_for(duration d, Token&& token = {}) {
  return asio::async_initiate<Token, void(boost::system::error_code)>(
      detail::initiate_sleep(), token, d);
}

/// Sleeps until a time; otherwise as `sleep_for`.
template <class Token = asio::deferred_t>
auto sleep_until(time_point t, Token&& token = {}) {
  return asio::async_initiate<Token, void(boost::system::error_code)>(
      detail::initiate_sleep(), token, t);
}

/// Sleeps on `executor`, for tokens such as `asio::use_future` that have none. The handler runs on
/// its own executor if it has one.
///
///     hf::sleep_for(ctx, 10ms, asio::use_future).wait();
template <class Token>
auto sleep_for(const asio::any_io_executor& executor, duration d, Token&& token) {
  return asio::async_initiate<Token, void(boost::system::error_code)>(
      detail::initiate_sleep_on(), token, executor, d);
}
template <class Token>
auto sleep_for(detail::context_for_io auto& context, duration d, Token&& token) {
  return sleep_for(asio::any_io_executor(context.get_executor()), d, std::forward<Token>(token));
}
template <class Token>
auto sleep_until(const asio::any_io_executor& executor, time_point t, Token&& token) {
  return asio::async_initiate<Token, void(boost::system::error_code)>(
      detail::initiate_sleep_on(), token, executor, t);
}
template <class Token>
auto sleep_until(detail::context_for_io auto& context, time_point t, Token&& token) {
  return sleep_until(asio::any_io_executor(context.get_executor()), t,
                     std::forward<Token>(token));
}

}  // namespace holdfast

#endif
