// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_ATTEMPT_HPP
#define HOLDFAST_DETAIL_ATTEMPT_HPP

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
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

/// The attempt as an awaitable, for a chain of its own.
template <class Call>
asio::awaitable<attempt_value_t<Call>> attempt_of(Call& call, call_context& context) {
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
/// An attempt on a chain of its own: made here, started by the initiation of the wait for it.
template <class Call>
class chain_attempt {
 public:
  using value_type = attempt_value_t<Call>;

  [[gnu::noinline]] chain_attempt(operation& op, call_keeper<Call>& call,
                                  const asio::any_io_executor& executor)
      : chain_(runner_pool<value_type>::acquire(op.time(), op.serialised_by, executor)),
        attempt_(chain_->prepare([&](attempt_context& context) {
          context.begin(op, op.attempt());
          if (op.limit.detach) chain_->keep(call.share());
          return attempt_of(call.get(), context);
        })) {}

  ~chain_attempt() {
    if (!chain_) return;
    attempt_.reset();
    chain_->give_back_unused();
  }
  chain_attempt(const chain_attempt&) = delete;

  template <class Handler>
  void start(operation& op, Handler&& handler) {
    op.pass_cancellation(handler, [chain = chain_, job = chain_->next_job()](auto) {
      chain->cancel_for_caller(job);
    });
    // Kept on this stack: the operation may end, and this object with it, before `start` returns.
    const auto chain = std::move(chain_);
    chain->start(std::move(*attempt_), sink_, op.limit, std::forward<Handler>(handler));
  }

  template <class T>
  [[gnu::noinline]] void finish(operation& op, outcome_slot<T>& outcome) {
    op.attempt_over(sink_.timed_out);
    if (sink_.exception) {
      fail(outcome, failure(std::move(sink_.exception)));
    } else if (!sink_.value) {
      fail(outcome, failure(op.limit.detach->code, policy_kind::timeout, {}));
    } else if constexpr (std::is_void_v<value_type>) {
      conclude<T, Call>(outcome);
    } else {
      conclude<T, Call>(outcome, std::move(*sink_.value));
    }
  }

 private:
  std::shared_ptr<runner<value_type>> chain_;  // until it is started
  std::optional<asio::awaitable<value_type>> attempt_;  // Asio's own assignment leaks, before 1.90
  attempt_sink<value_type> sink_;
};

/// The initiation of the wait for an attempt that does not run in the caller's chain.
template <class Attempt>
struct start_attempt {
  Attempt* attempt;
  operation* op;
  template <class Handler>
  void operator()(Handler&& handler) const {
    attempt->start(*op, std::forward<Handler>(handler));
  }
};

}  // namespace holdfast::detail

#endif
