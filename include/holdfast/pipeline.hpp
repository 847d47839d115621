// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_PIPELINE_HPP
#define HOLDFAST_PIPELINE_HPP

#include <boost/asio/awaitable.hpp>
#include <concepts>
#include <holdfast/detail/engine.hpp>
#include <holdfast/detail/links.hpp>
#include <holdfast/detail/make_layer.hpp>
#include <holdfast/detail/started_chain.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace holdfast {

template <class Call, class Stack>
class chain;

namespace detail {

/// What a function returns, called as a call would be; `void` if it cannot be.
template <class F>
struct given_by {
  using type = void;
};
template <std::invocable F>
struct given_by<F> {
  using type = std::invoke_result_t<F&>;
};
template <class F>
  requires(!std::invocable<F&> && std::invocable<F&, call_context&>)
struct given_by<F> {
  using type = std::invoke_result_t<F&, call_context&>;
};

template <class>
inline constexpr bool is_awaitable_of_reference_v = false;
template <class U, class Executor>
inline constexpr bool is_awaitable_of_reference_v<asio::awaitable<U&, Executor>> = true;

/// Rejects what is not a call, with the reason.
template <class F>
constexpr void check_call() {
  if constexpr (!any_call<F>) {  // a token function is not to be compiled for a context
    using given = typename given_by<F>::type;
    static_assert(!is_awaitable_of_reference_v<given>,
                  "holdfast: the call gives a reference, which no result can hold; let it give a "
                  "value, a pointer or a std::reference_wrapper.");
    static_assert(!is_any_awaitable_v<given> || is_awaitable_of_reference_v<given>,
                  "holdfast: the call gives an asio::awaitable with an executor type of its own; "
                  "let it give asio::awaitable<T>, whose executor is asio::any_io_executor.");
    static_assert(is_any_awaitable_v<given>,
                  "holdfast: a call is a function that returns asio::awaitable<T>, with no argument "
                  "or with a hf::call_context&, or a completion-token function [](auto token) that "
                  "starts an Asio operation.");
  }
}

template <class P>
constexpr void check_policy() {
  static_assert(
      policy<P>,
      "holdfast: .with() takes a policy, such as hf::timeout or hf::circuit_breaker, or a "
      "std::shared_ptr to one.");
}

}  // namespace detail

/// An ordered list of policies, to be put around calls. Made once, called often.
///
///     auto guard = hf::pipeline().with(hf::timeout{2s}).with(breaker).fallback("sorry"s);
///     hf::result<std::string> answer = co_await guard(ask);
///
/// The first `.with` is innermost; each later one wraps everything before it. Policies with state
/// (breaker, bulkhead) are shared with whoever holds the same object; `timeout` and `retry` are
/// values.
///
/// Thread safety: calls are safe from any thread at once; building is not. Lifetime: must outlive
/// the operations that were started through it as an lvalue; a temporary lives on in its operation.
template <class Stack = detail::layer_stack<default_classifier>>
class pipeline {
 public:
  pipeline()
    requires(Stack::size == 0)
      : stack_({}, {}) {}
  explicit pipeline(Stack stack) : stack_(std::move(stack)) {}

  /// Wraps everything so far into a policy. Throws `invalid_options` if its options, or its place,
  /// make no sense.
  template <class Policy>
  auto with(const Policy& policy) && {
    detail::check_policy<Policy>();
    return wrap(detail::add_policy(std::move(stack_), policy));
  }
  template <class Policy>
  auto with(const Policy& policy) const& {
    return pipeline(*this).with(policy);
  }

  /// Adds an alternative for when everything so far fails: a value, a function, a call, a
  /// `resilient(...)` chain, or a `cache`, which keeps what everything so far answers and gives the
  /// last good answer.
  template <class X>
  auto fallback(X&& alternative, fallback_options options = {}) && {
    return wrap(detail::append(std::move(stack_),
                               detail::make_fallback(std::forward<X>(alternative),
                                                     std::move(options))));
  }
  template <class X>
  auto fallback(X&& alternative, fallback_options options = {}) const& {
    return pipeline(*this).fallback(std::forward<X>(alternative), std::move(options));
  }

  /// Sets the classifier of the whole pipeline, in place of `default_classifier`.
  template <class Classifier>
  auto classify(Classifier classifier) && {
    return wrap(detail::replace_classifier(std::move(stack_), std::move(classifier)));
  }
  template <class Classifier>
  auto classify(Classifier classifier) const& {
    return pipeline(*this).classify(std::move(classifier));
  }

  /// Says for all operations whether their calls may be made again after they may have reached the
  /// service: `false` for payments, messages and all else that must not happen twice. The stricter
  /// of this, `call_options::idempotent` and what the parent says counts. True unless said.
  auto idempotent(bool may_be_repeated) && {
    stack_.idempotent = may_be_repeated;
    return std::move(*this);
  }
  auto idempotent(bool may_be_repeated) const& {
    return pipeline(*this).idempotent(may_be_repeated);
  }

  /// Starts one operation around `call`.
  ///
  /// Completes when the call, a fallback, or a policy's refusal has given the result; never throws
  /// for those. The caller's cancellation ends the call and every wait, with `errc::cancelled`.
  /// The call is kept until the operation has ended. Cost: one coroutine frame, from Asio's cache.
  template <class Call>
  auto operator()(Call&& call, call_options options = {}) const& {
    return start(&stack_, std::forward<Call>(call), std::move(options));
  }
  template <class Call>
  auto operator()(Call&& call, call_options options = {}) && {
    return start(std::move(stack_), std::forward<Call>(call), std::move(options));
  }

  /// Starts the operation with a completion token instead: the handler's signature is
  /// `void(hf::result<T>)`. As `chain` says of executors, cancellation and cost.
  template <class Call, class Token>
  auto operator()(Call&& call, call_options options, Token&& token) const& {
    return detail::start_with_token((*this)(std::forward<Call>(call), std::move(options)),
                                    std::forward<Token>(token));
  }
  template <class Call, class Token>
  auto operator()(Call&& call, call_options options, Token&& token) && {
    return detail::start_with_token(
        std::move(*this)(std::forward<Call>(call), std::move(options)), std::forward<Token>(token));
  }

  /// The same within another call: bounded by its deadline, ended by its cancellation.
  template <class Call>
  auto operator()(Call&& call, call_context& parent) const& {
    return start(&stack_, std::forward<Call>(call), call_options{.parent = &parent});
  }

  /// How much of its capacity a service may be used to so that retries and hedges cannot keep it
  /// overloaded once whatever overloaded it is over: 1 / (the most attempts per call, over time).
  /// A retry makes `max_attempts` of one, or `1 + ratio` where it has a budget; a hedge `1 +
  /// max_hedges`. Counted is what is in this stack: not the links of fallbacks, which are other
  /// services, and not what the call itself does. (L. Huang et al., "Metastable Failures in the
  /// Wild", OSDI 2022, theorem 2.)
  double safe_utilisation() const { return stack_.safe_utilisation(); }

  /// What the timeouts have seen, outermost first, those below a hedge included and those of a
  /// fallback's chain not. Each copy of a pipeline counts for itself, from zero. Thread safety:
  /// safe, from any thread.
  std::vector<timeout_snapshot> timeouts() const { return detail::timeouts_of(stack_); }

  /// Prints the policies with every option, outermost first, one a line, and `safe_utilisation`
  /// where it is below 1.
  std::string describe() const { return stack_.describe(); }

 private:
  template <class S>
  static pipeline<S> wrap(S stack) {
    return pipeline<S>(std::move(stack));
  }

  template <class S, class Call>
  static auto start(S stack, Call&& call, call_options&& options) {
    using plain = std::decay_t<Call>;
    if constexpr (detail::is_awaitable_v<plain>) {
      static_assert(!Stack::template contains<policy_kind::retry>,
                    "holdfast: an awaitable runs once and cannot be retried; pass the function "
                    "that makes it.");
      static_assert(!Stack::template contains<policy_kind::hedge>,
                    "holdfast: an awaitable runs once and cannot be hedged; pass the function "
                    "that makes it.");
      using single = detail::single_call<detail::awaited_t<plain>>;
      return detail::run_operation<detail::call_result_t<single>>(
          std::move(stack), single{std::forward<Call>(call)}, std::move(options));
    } else {
      detail::check_call<plain>();
      if constexpr (detail::any_call<plain>) {
        return detail::run_operation<detail::call_result_t<plain>>(
            std::move(stack), plain(std::forward<Call>(call)), std::move(options));
      }
    }
  }

  Stack stack_;
};

}  // namespace holdfast

#endif
