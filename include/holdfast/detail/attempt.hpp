// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_ATTEMPT_HPP
#define HOLDFAST_DETAIL_ATTEMPT_HPP

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <exception>
#include <holdfast/detail/call_traits.hpp>
#include <holdfast/detail/detach_state.hpp>
#include <holdfast/detail/operation.hpp>
#include <holdfast/detail/runner.hpp>
#include <holdfast/detail/typed_layer.hpp>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

namespace holdfast::detail {

/// Keeps the user's callable until the operation ends, and beyond it where a detaching timeout
/// leaves an attempt running.
template <class Call>
class call_keeper {
 public:
  explicit call_keeper(Call&& call) : held_(std::in_place_index<0>, std::move(call)) {}

  Call& get() noexcept {
    if (held_.index() == 0) [[likely]] return *std::get_if<0>(&held_);
    return **std::get_if<1>(&held_);
  }

  std::shared_ptr<Call> share() {
    if (held_.index() == 0) {
      held_.template emplace<1>(std::make_shared<Call>(std::move(*std::get_if<0>(&held_))));
    }
    return *std::get_if<1>(&held_);
  }

 private:
  std::variant<Call, std::shared_ptr<Call>> held_;
};

/// Calls through a reference, where the callable cannot be copied for each operation.
template <class F>
struct call_reference {
  F* function;
  template <class... Args>
    requires std::invocable<F&, Args...>
  decltype(auto) operator()(Args&&... args) const {
    return (*function)(std::forward<Args>(args)...);
  }
};

template <class F>
inline constexpr bool borrows_v<call_reference<F>> = true;

/// Makes the attempt as an awaitable. A call that only reads may be given a context that is const.
template <class Call, class Context>
asio::awaitable<attempt_value_t<Call>> attempt_of(Call& call, Context& context) {
  if constexpr (plain_call<Call>) {
    return call();
  } else if constexpr (reader_call<Call>) {
    return call(std::as_const(context));
  } else if constexpr (context_call<Call>) {
    return call(context);
  } else {
    return [](Call& c, call_context& ctx) -> asio::awaitable<attempt_value_t<Call>> {
      co_return co_await c(asio::as_tuple(ctx.token()));
    }(call, context);
  }
}

// What follows keeps temporaries out of the engine's frame: a compiler lays out every object of a
// coroutine's body there, however short it lives.

/// Where an operation's result grows.
template <class T>
using outcome_slot = std::optional<result<T>>;

/// Turns what awaiting the attempt gave into the operation's result.
template <class T, class Call, class... Value>
void conclude(outcome_slot<T>& outcome, Value&&... value) {
  if constexpr (sizeof...(Value) == 0) {
    outcome.emplace(BOOST_OUTCOME_V2_NAMESPACE::in_place_type<void>);
  } else if constexpr (token_call<Call>) {
    outcome.emplace(completion_to_result<T>(std::forward<Value>(value)...));
  } else if constexpr ((std::same_as<std::remove_cvref_t<Value>, T> && ...)) {
    outcome.emplace(BOOST_OUTCOME_V2_NAMESPACE::in_place_type<T>, std::forward<Value>(value)...);
  } else {
    outcome.emplace(to_result<T>(std::forward<Value>(value)...));
  }
}

template <class T>
[[gnu::noinline]] void fail(outcome_slot<T>& outcome, failure f) {
  outcome.emplace(failed<T>(std::move(f)));
}
template <class T>
[[gnu::noinline]] void fail_with_current_exception(outcome_slot<T>& outcome) {
  fail(outcome, failure(std::current_exception()));
}

/// An attempt on a chain of its own: made and started by the initiation of the wait for it.
template <class Call>
class chain_attempt {
 public:
  using value_type = attempt_value_t<Call>;

  chain_attempt(operation& op, call_keeper<Call>& call) noexcept : operation_(op), call_(call) {}
  chain_attempt(const chain_attempt&) = delete;

  template <class Handler>
  void start(Handler&& handler) {
    runner<value_type>* chain = nullptr;
    const auto caller = asio::get_associated_cancellation_slot(handler);
    resumption waiter;
    waiter.store(std::forward<Handler>(handler));
    try {
      chain = &runner_pool<value_type>::acquire(operation_.home);
      chain->prepare([&](attempt_context& context) {
        context.begin(operation_, operation_.attempt());
        if (operation_.limit.detach) chain->keep(call_.share());
        return attempt_of(call_.get(), context);
      });
      if (operation_.caller_cancelled()) [[unlikely]] {  // by the call, while it was made
        throw boost::system::system_error(asio::error::operation_aborted);
      }
      operation_.listen_to(caller);
      // The operation may end, and this object with it, before this returns.
      chain->start(sink_, operation_.limit, waiter, &operation_.scope());
    } catch (...) {
      // The chain may serve another operation from here on.
      if (chain) chain->withdraw();
      sink_.exception = std::current_exception();
      waiter.post_or_resume();
    }
  }

  template <class T>
  [[gnu::noinline]] void finish(outcome_slot<T>& outcome) {
    operation_.attempt_over(sink_.cancelled);
    if (sink_.exception) {
      fail(outcome, failure(std::move(sink_.exception)));
    } else if (!sink_.value) {
      fail(outcome, operation_.left_failure());
    } else if constexpr (std::is_void_v<value_type>) {
      conclude<T, Call>(outcome);
    } else {
      conclude<T, Call>(outcome, std::move(*sink_.value));
    }
  }

 private:
  operation& operation_;
  call_keeper<Call>& call_;
  attempt_sink<value_type> sink_;
};

/// Starts an attempt that does not run in the caller's chain: to be awaited.
template <class Attempt>
auto start_attempt(Attempt& attempt) {
  return asio::async_initiate<const asio::deferred_t, void()>(
      [a = &attempt](auto&& handler) { a->start(std::forward<decltype(handler)>(handler)); },
      asio::deferred);
}

}  // namespace holdfast::detail

#endif
