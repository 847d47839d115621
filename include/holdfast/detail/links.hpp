// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_LINKS_HPP
#define HOLDFAST_DETAIL_LINKS_HPP

#include <concepts>
#include <holdfast/detail/engine.hpp>
#include <type_traits>
#include <utility>

/// \file
/// What a fallback can be made of. A call becomes a chain without policies, so that timeouts around
/// the fallback reach it like any call.

namespace holdfast::detail {

template <class T, class U>
concept answers = std::is_void_v<T> || std::constructible_from<T, U>;

/// A value of its own, or something one can be made of.
template <class V>
class value_link {
 public:
  explicit value_link(V value) : value_(std::move(value)) {}

  template <class T>
  asio::awaitable<result<T>> start(operation&, const result<T>&) const {
    static_assert(answers<T, const V&>,
                  "holdfast: the fallback's value does not convert to the call's result.");
    return [](const V& value) -> asio::awaitable<result<T>> {
      co_return success<T>(T(value));
    }(value_);
  }

 private:
  V value_;
};

/// A function that is no call: it returns the answer, or an awaitable of it, and may ask why it is
/// needed.
template <class F>
class function_link {
 public:
  explicit function_link(F function) : function_(std::move(function)) {}

  template <class T>
  asio::awaitable<result<T>> start(operation&, const result<T>& outcome) const {
    return [](const F& function, failure why) -> asio::awaitable<result<T>> {
      auto invoke = [&]() -> decltype(auto) {
        if constexpr (std::invocable<const F&, const failure&>) {
          return function(std::as_const(why));
        } else {
          return function();
        }
      };
      using returned = decltype(invoke());
      if constexpr (is_awaitable_v<returned>) {
        using value = awaited_t<returned>;
        static_assert(answers<T, typename unwrapped<value>::type>,
                      "holdfast: the fallback's result does not convert to the call's result.");
        if constexpr (std::is_void_v<value>) {
          co_await invoke();
          co_return success();
        } else {
          co_return to_result<T>(co_await invoke());
        }
      } else if constexpr (std::is_void_v<returned>) {
        static_assert(std::is_void_v<T>,
                      "holdfast: the fallback's result does not convert to the call's result.");
        invoke();
        co_return success();
      } else {
        static_assert(
            answers<T, typename unwrapped<std::remove_cvref_t<returned>>::type>,
            "holdfast: the fallback's result does not convert to the call's result.");
        co_return to_result<T>(invoke());
      }
    }(function_, outcome.has_error() ? outcome.assume_error() : failure());
  }

 private:
  F function_;
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

/// A call with policies of its own.
template <class Call, class Stack>
class chain_link {
 public:
  chain_link(Call call, Stack stack) : call_(std::move(call)), stack_(std::move(stack)) {}

  template <class T>
  asio::awaitable<result<T>> start(operation& op, const result<T>&) const {
    using own = call_result_t<Call>;
    static_assert(std::same_as<T, own> || answers<T, own>,
                  "holdfast: the fallback's result does not convert to the call's result.");
    const call_options options{.ledger = op.options.ledger,
                               .idempotent = op.options.idempotent,
                               .tags = op.options.tags,
                               .parent = &op};
    if constexpr (std::same_as<T, own>) {
      return run<own>(options);
    } else {
      return [](asio::awaitable<result<own>> inner) -> asio::awaitable<result<T>> {
        result<own> r = co_await std::move(inner);
        if (r.has_error()) co_return failed<T>(std::move(r).assume_error());
        if constexpr (std::is_void_v<T>) {
          co_return success();
        } else {
          co_return success<T>(T(std::move(r).assume_value()));
        }
      }(run<own>(options));
    }
  }

 private:
  template <class T>
  asio::awaitable<result<T>> run(const call_options& options) const {
    if constexpr (std::copy_constructible<Call>) {
      return run_operation<T>(&stack_, call_, options);
    } else {
      return run_operation<T>(&stack_, call_reference<Call>{&call_}, options);
    }
  }

  mutable Call call_;  // a move-only callable is called by every operation, as it stands
  Stack stack_;
};

}  // namespace holdfast::detail

#endif
