// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_LINKS_HPP
#define HOLDFAST_DETAIL_LINKS_HPP

#include <concepts>
#include <holdfast/classifier.hpp>
#include <holdfast/detail/engine.hpp>
#include <holdfast/policy/fallback.hpp>
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

/// Refuses call options of a chain that becomes a link.
void check_link_options(bool given);

/// Makes a link of whatever `.fallback()` was given.
template <class X>
auto make_link(X&& x) {
  using plain = std::decay_t<X>;
  static_assert(!is_awaitable_v<plain>,
                "holdfast: a fallback is a value, a call or a chain; an awaitable would be started "
                "before it is needed. Pass the function that makes it.");
  if constexpr (requires { typename plain::is_holdfast_link; }) {
    return plain(std::forward<X>(x));
  } else if constexpr (requires { typename plain::is_holdfast_chain; }) {
    return std::forward<X>(x).into_link();
  } else if constexpr (any_call<plain>) {
    using stack = layer_stack<default_classifier>;
    return chain_link<plain, stack>(std::forward<X>(x), stack({}, {}));
  } else if constexpr (asking_call<plain>) {
    return asking_link<plain>(std::forward<X>(x));
  } else if constexpr (std::invocable<const plain&> ||
                       std::invocable<const plain&, const failure&>) {
    return function_link<plain>(std::forward<X>(x));
  } else {
    return value_link<plain>(std::forward<X>(x));
  }
}

/// Makes the layer that `.fallback()` adds. What needs to see the answers as well makes its own.
template <class X>
auto make_fallback(X&& x, fallback_options options) {
  if constexpr (requires { x.as_fallback(std::move(options)); }) {
    return x.as_fallback(std::move(options));
  } else {
    auto link = make_link(std::forward<X>(x));
    return fallback_layer<decltype(link)>(std::move(link), std::move(options));
  }
}

}  // namespace holdfast::detail

#endif
