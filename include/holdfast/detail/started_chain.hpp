// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_STARTED_CHAIN_HPP
#define HOLDFAST_DETAIL_STARTED_CHAIN_HPP

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <boost/asio/this_coro.hpp>
#include <exception>
#include <holdfast/detail/call_traits.hpp>
#include <holdfast/detail/chain_cancellation.hpp>
#include <holdfast/detail/handler_executor.hpp>
#include <holdfast/errc.hpp>
#include <memory>
#include <optional>
#include <utility>

namespace holdfast::detail {

/// One operation that was started with a completion token: its coroutine's cancellation, and the
/// place for its result, which `co_spawn` would move where an exception of the value's reaches
/// nobody.
template <class T>
class started_chain final : public chain_cancellation {
 public:
  using chain_cancellation::chain_cancellation;

  /// Starts it on `executor`. The handler is called there, or on `completes_on` if that is given.
  template <class Handler, class... Executor>
  static void start(const asio::any_io_executor& executor, Handler&& handler,
                    asio::awaitable<result<T>> operation, const Executor&... completes_on) {
    const auto self = std::allocate_shared<started_chain>(
        asio::recycling_allocator<started_chain>(), executor);
    const auto slot = self->connect(asio::get_associated_cancellation_slot(handler));
    auto completion = [self, h = std::forward<Handler>(handler)](std::exception_ptr e) mutable {
      if (e) self->outcome_.emplace(failed<T>(failure(std::move(e))));
      std::move(h)(taken(*self));
    };
    asio::co_spawn(executor, run(self, until_end(self), std::move(operation)),
                   asio::bind_cancellation_slot(
                       slot, bound(std::move(completion), completes_on...)));
  }

 private:
  template <class Completion>
  static Completion bound(Completion completion) {
    return completion;
  }
  template <class Completion, class Executor>
  static auto bound(Completion completion, const Executor& executor) {
    return asio::bind_executor(executor, std::move(completion));
  }

  /// The guard is a parameter: it goes with a coroutine that never takes its first step, too.
  static asio::awaitable<void> run(std::shared_ptr<started_chain> self, until_end,
                                   asio::awaitable<result<T>> operation) {
    // Only terminal cancellation passes unless told otherwise; the caller's own filter has spoken.
    co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
    if (self->begin()) {
      self->outcome_.emplace(co_await std::move(operation));
    } else {
      self->outcome_.emplace(failed<T>(failure(errc::cancelled)));
    }
  }

  /// A handler that takes the result by value gets this object itself: where the value's move
  /// throws, a failure is made of that before the handler runs.
  static result<T> taken(started_chain& self) {
    try {
      return std::move(*self.outcome_);
    } catch (...) {
      return failed<T>(failure(std::current_exception()));
    }
  }

  std::optional<result<T>> outcome_;
};

/// Starts a chain on its handler's executor.
template <class T>
struct initiate_chain {
  template <class Handler>
  void operator()(Handler&& handler, asio::awaitable<result<T>> operation) const {
    const asio::any_io_executor executor = io_executor_of(handler);
    started_chain<T>::start(executor, std::forward<Handler>(handler), std::move(operation));
  }
};

/// Starts the operation with a completion token.
template <class T, asio::completion_token_for<void(result<T>)> Token>
auto start_with_token(asio::awaitable<result<T>> operation, Token&& token) {
  return asio::async_initiate<Token, void(result<T>)>(initiate_chain<T>(), token,
                                                      std::move(operation));
}

/// Starts a chain on an executor that was named for it.
template <class T>
class initiate_chain_on {
 public:
  using executor_type = asio::any_io_executor;

  explicit initiate_chain_on(executor_type executor) noexcept : executor_(std::move(executor)) {}
  executor_type get_executor() const noexcept { return executor_; }

  template <class Handler>
  void operator()(Handler&& handler, asio::awaitable<result<T>> operation) const {
    const auto completes_on = asio::get_associated_executor(handler, executor_);
    started_chain<T>::start(executor_, std::forward<Handler>(handler), std::move(operation),
                            completes_on);
  }

 private:
  executor_type executor_;
};

}  // namespace holdfast::detail

#endif
