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
    return []([[maybe_unused]] const V& value) -> asio::awaitable<result<T>> {
      if constexpr (std::is_void_v<T>) {
        co_return success();
      } else {
        co_return success<T>(T(value));
      }
    }(value_);
  }

 private:
  V value_;
};

/// A function that returns the answer itself, and may ask why it is needed.
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
      if constexpr (std::is_void_v<returned>) {
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

/// Runs a link's call as an operation of its own within `op`, and makes its result the caller's.
template <class T, class Stack, class Call>
asio::awaitable<result<T>> run_within(operation& op, Stack stack, Call call) {
  using own = call_result_t<Call>;
  static_assert(std::same_as<T, own> || answers<T, own>,
                "holdfast: the fallback's result does not convert to the call's result.");
  auto inner = run_operation<own>(std::move(stack), std::move(call),
                                  options_for_part(op, operation_role::link, op));
  if constexpr (std::same_as<T, own>) {
    return inner;
  } else {
    return [](asio::awaitable<result<own>> awaitable) -> asio::awaitable<result<T>> {
      result<own> r = co_await std::move(awaitable);
      if (r.has_error()) co_return failed<T>(std::move(r).assume_error());
      if constexpr (std::is_void_v<T>) {
        co_return success();
      } else {
        co_return success<T>(T(std::move(r).assume_value()));
      }
    }(std::move(inner));
  }
}

/// A call that asks why it is needed: `[](const failure&) -> awaitable`.
template <class F>
concept asking_call = requires(const F& f, const failure& why) {
  requires is_awaitable_v<decltype(f(why))>;
};

template <asking_call F>
class asking_link {
 public:
  explicit asking_link(F function) : function_(std::move(function)) {}

  template <class T>
  asio::awaitable<result<T>> start(operation& op, const result<T>& outcome) const {
    auto call = [function = callable(), why = outcome.has_error() ? outcome.assume_error()
                                                                  : failure()]() {
      return function(why);
    };
    return run_within<T>(op, layer_stack<default_classifier>({}, {}), std::move(call));
  }

 private:
  auto callable() const {
    if constexpr (std::copy_constructible<F>) {
      return function_;
    } else {
      return call_reference<const F>{&function_};
    }
  }

  F function_;
};

/// A call with policies of its own.
template <class Call, class Stack>
class chain_link {
 public:
  chain_link(Call call, Stack stack) : call_(std::move(call)), stack_(std::move(stack)) {}

  template <class T>
  asio::awaitable<result<T>> start(operation& op, const result<T>&) const {
    if constexpr (std::copy_constructible<Call>) {
      return run_within<T>(op, &stack_, call_);
    } else {
      return run_within<T>(op, &stack_, call_reference<Call>{&call_});
    }
  }

  Stack& stack() noexcept { return stack_; }

 private:
  mutable Call call_;  // a move-only callable is called by every operation, as it stands
  Stack stack_;
};

}  // namespace holdfast::detail

#endif
