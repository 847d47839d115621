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

/// What a sleep waits for: a time, or that so much of it has passed.
class wake_time {
 public:
  explicit wake_time(time_point until) noexcept : until_(until) {}
  explicit wake_time(duration d) noexcept : for_(d), relative_(true) {}

  wait_state& wait() noexcept { return wait_; }
  time_point begin(time_service& time) const noexcept {
    return relative_ ? saturating_add(time.precise_now(), for_) : until_;
  }
  void end() noexcept {}

 private:
  time_point until_{};
  duration for_{};
  bool relative_ = false;
  wait_state wait_;
};

struct initiate_sleep {
  template <class Handler, class When>
  void operator()(Handler&& handler, When when) const {
    waiting_operation<std::decay_t<Handler>, wake_time>::start(std::forward<Handler>(handler),
                                                               when);
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
      detail::initiate_sleep(), token, d);
}

/// Sleeps until a time; otherwise as `sleep_for`.
template <class Token = asio::deferred_t>
auto sleep_until(time_point t, Token&& token = {}) {
  return asio::async_initiate<Token, void(boost::system::error_code)>(
      detail::initiate_sleep(), token, t);
}

}  // namespace holdfast

#endif
