// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_CALL_TRAITS_HPP
#define HOLDFAST_DETAIL_CALL_TRAITS_HPP

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <concepts>
#include <holdfast/call_context.hpp>
#include <holdfast/result.hpp>
#include <tuple>
#include <type_traits>

namespace holdfast::detail {

template <class>
inline constexpr bool is_awaitable_v = false;
template <class U>
inline constexpr bool is_awaitable_v<asio::awaitable<U>> = !std::is_reference_v<U>;

/// Whether a type is an awaitable, of any executor and of references as well.
template <class>
inline constexpr bool is_any_awaitable_v = false;
template <class U, class Executor>
inline constexpr bool is_any_awaitable_v<asio::awaitable<U, Executor>> = true;

template <class>
struct awaited;
template <class U>
struct awaited<asio::awaitable<U>> {
  using type = U;
};
template <class A>
using awaited_t = typename awaited<A>::type;

/// A call made of an awaitable that exists already: good for one attempt.
template <class U>
struct single_call {
  asio::awaitable<U> awaitable;
  asio::awaitable<U> operator()() { return std::move(awaitable); }
};
template <class>
inline constexpr bool is_single_call_v = false;
template <class U>
inline constexpr bool is_single_call_v<single_call<U>> = true;

/// The token that a completion-token function is given.
using call_token = asio::as_tuple_t<context_token>;

template <class F>
concept plain_call = requires(F& f) { requires is_awaitable_v<decltype(f())>; };

template <class F>
concept token_call =
    !std::invocable<F&> && std::invocable<F&, call_token> &&
    !is_any_awaitable_v<std::invoke_result_t<F&, call_token>>;  // a generic call of a context

template <class R, class C, class A>
std::type_identity<A> parameter_of(R (C::*)(A));
template <class R, class C, class A>
std::type_identity<A> parameter_of(R (C::*)(A) const);
template <class R, class A>
std::type_identity<A> parameter_of(R (*)(A));

/// Tells from a call's parameter whether it only reads its context. If that is not visible, tries a
/// const context. A generic function is not instantiated with one: its body may not compile.
template <class F>
consteval bool only_reads_context() {
  if constexpr (requires { parameter_of(&F::operator()); }) {
    return std::same_as<decltype(parameter_of(&F::operator())),
                        std::type_identity<const call_context&>>;
  } else if constexpr (requires { parameter_of(&F::template operator()<call_context>); }) {
    return std::same_as<decltype(parameter_of(&F::template operator()<call_context>)),
                        std::type_identity<const call_context&>>;
  } else {
    return std::invocable<F&, const call_context&>;
  }
}

template <class F>
concept reader_call = !std::invocable<F&> && !token_call<F> && only_reads_context<F>() &&
                      requires(F& f, const call_context& c) {
                        requires is_awaitable_v<decltype(f(c))>;
                      };

template <class F>
concept context_call = !std::invocable<F&> && !token_call<F> && !only_reads_context<F>() &&
                       requires(F& f, call_context& c) { requires is_awaitable_v<decltype(f(c))>; };

template <class F>
concept any_call = plain_call<F> || token_call<F> || reader_call<F> || context_call<F>;

/// Whether the call lets itself be cancelled in the caller's chain.
template <class F>
inline constexpr bool takes_scope_v = token_call<F> || context_call<F>;

/// The types by which Asio's operations report success or an error.
template <class E>
inline constexpr bool is_disposition_v =
    std::same_as<E, boost::system::error_code> || std::same_as<E, std::error_code> ||
    std::same_as<E, std::exception_ptr>;

inline bool is_error(const std::exception_ptr& e) { return e != nullptr; }
inline bool is_error(const boost::system::error_code& e) { return e.failed(); }
inline bool is_error(const std::error_code& e) { return static_cast<bool>(e); }

/// The arguments of a completion handler without the leading error.
template <class Tuple>
struct completion_value;
template <>
struct completion_value<std::tuple<>> {
  using type = void;
  static constexpr bool has_error = false;
};
template <class E, class... Ts>
struct completion_value<std::tuple<E, Ts...>> {
  static constexpr bool has_error = is_disposition_v<E>;
  template <class... Us>
  struct pack {
    using type = std::tuple<Us...>;
  };
  template <class U>
  struct pack<U> {
    using type = U;
  };
  template <class... Us>
    requires(sizeof...(Us) == 0)
  struct pack<Us...> {
    using type = void;
  };
  using type = typename std::conditional_t<has_error, pack<Ts...>, pack<E, Ts...>>::type;
};

template <class Signature>
struct first_argument;
template <class R, class A>
struct first_argument<R(A)> {
  using type = std::remove_cvref_t<A>;
};

/// What a call's attempt gives when awaited.
template <class F>
struct attempt_value;
template <plain_call F>
struct attempt_value<F> {
  using type = awaited_t<std::invoke_result_t<F&>>;
};
template <context_call F>
struct attempt_value<F> {
  using type = awaited_t<std::invoke_result_t<F&, call_context&>>;
};
template <reader_call F>
struct attempt_value<F> {
  using type = awaited_t<std::invoke_result_t<F&, const call_context&>>;
};
template <token_call F>
struct attempt_value<F> {
  using type = typename first_argument<
      asio::completion_signature_of_t<std::invoke_result_t<F&, call_token>>>::type;
};
template <class F>
using attempt_value_t = typename attempt_value<F>::type;

/// Outcome results, Boost.System results and `std::expected` alike: a value or an error.
template <class R>
concept result_like = requires(const R& r) {
  { r.has_value() } -> std::convertible_to<bool>;
  r.error();
  typename R::value_type;
} && (std::constructible_from<failure, decltype(std::declval<const R&>().error())>);

template <class U>
struct unwrapped {
  using type = U;
};
template <result_like R>
struct unwrapped<R> {
  using type = typename R::value_type;
};
template <class E>
  requires is_disposition_v<E>
struct unwrapped<E> {
  using type = void;
};

/// The `T` of the `result<T>` that a call gives.
template <class F>
struct call_result {
  using type = typename unwrapped<attempt_value_t<F>>::type;
};
template <token_call F>
struct call_result<F> {
  using type = typename completion_value<attempt_value_t<F>>::type;
};
template <class F>
using call_result_t = typename call_result<F>::type;

template <class T>
result<T> success(T value) {
  return result<T>(BOOST_OUTCOME_V2_NAMESPACE::in_place_type<T>, std::move(value));
}
inline result<void> success() {
  return result<void>(BOOST_OUTCOME_V2_NAMESPACE::in_place_type<void>);
}
template <class T>
result<T> failed(failure f) {
  return result<T>(BOOST_OUTCOME_V2_NAMESPACE::in_place_type<failure>, std::move(f));
}

/// Turns what an attempt gave into the operation's result.
template <class T, class U>
result<T> to_result(U&& value) {
  using plain = std::remove_cvref_t<U>;
  if constexpr (std::same_as<plain, result<T>>) {
    return std::forward<U>(value);
  } else if constexpr (result_like<plain>) {
    if (!value.has_value()) return failed<T>(failure(std::forward<U>(value).error()));
    if constexpr (std::is_void_v<T>) {
      return success();
    } else {
      return success<T>(T(std::forward<U>(value).value()));
    }
  } else if constexpr (is_disposition_v<plain>) {
    return is_error(value) ? failed<T>(failure(std::forward<U>(value))) : success();
  } else {
    return success<T>(T(std::forward<U>(value)));
  }
}

/// The same for what an operation's completion handler was called with.
template <class T, class Tuple>
result<T> completion_to_result(Tuple&& completion) {
  constexpr std::size_t skipped = completion_value<std::remove_cvref_t<Tuple>>::has_error ? 1 : 0;
  constexpr std::size_t count = std::tuple_size_v<std::remove_cvref_t<Tuple>> - skipped;
  if constexpr (skipped == 1) {
    if (is_error(std::get<0>(completion))) return failed<T>(failure(std::get<0>(completion)));
  }
  if constexpr (count == 0) {
    return success();
  } else {
    return [&completion]<std::size_t... Is>(std::index_sequence<Is...>) {
      return success<T>(T(std::move(std::get<Is + skipped>(completion))...));
    }(std::make_index_sequence<count>());
  }
}

}  // namespace holdfast::detail

#endif
