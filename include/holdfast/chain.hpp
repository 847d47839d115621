// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_CHAIN_HPP
#define HOLDFAST_CHAIN_HPP

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <concepts>
#include <holdfast/chain_on.hpp>
#include <holdfast/detail/started_chain.hpp>
#include <holdfast/pipeline.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace holdfast {

/// A call together with its policies: what `resilient(call)` starts.
///
///     auto answer = co_await hf::resilient(ask).with(hf::timeout{2s}).fallback("sorry"s);
///
/// An Asio operation: `co_await` it, or start it with any completion token; the handler's signature
/// is `void(hf::result<T>)`. It then runs on a coroutine chain of its own. `run()` gives an
/// awaitable in the caller's chain; a `pipeline`, made once, is cheaper still.
///
/// `resilient` takes the options of the operation: key, deadline, ledger. Options that are passed to
/// `run`, or together with a token, replace them.
///
/// Started as a temporary it owns what it needs. A named chain is awaited as `chain.run()`: that
/// copies the call, and the chain must outlive the operation. (Asio awaits only operations that are
/// rvalues, so `co_await std::move(chain)` works as well, once.)
template <class Call, class Stack>
class chain {
 public:
  using is_holdfast_chain = void;
  using value_type = detail::call_result_t<Call>;

  chain(Call call, Stack stack, std::optional<call_options> options)
      : call_(std::move(call)), stack_(std::move(stack)), options_(std::move(options)) {}

  /// As `pipeline::with`. Throws `invalid_options` for a circuit breaker that nothing else holds: made
  /// for one operation, it would never open.
  template <class P>
  auto with(P&& policy) && {
    using Policy = std::remove_cvref_t<P>;
    detail::check_policy<Policy>();
    if constexpr (detail::policy<Policy>) {
      if constexpr (!std::is_lvalue_reference_v<P> && detail::counts_over_operations_v<Policy>) {
        detail::check_shared(detail::is_shared(policy));
      }
      static_assert(!detail::is_single_call_v<Call> ||
                        detail::layer_of<Policy>::type::kind != policy_kind::retry,
                    "holdfast: an awaitable runs once and cannot be retried; pass the function "
                    "that makes it.");
      static_assert(!detail::is_single_call_v<Call> ||
                        detail::layer_of<Policy>::type::kind != policy_kind::hedge,
                    "holdfast: an awaitable runs once and cannot be hedged; pass the function "
                    "that makes it.");
    }
    return wrap(detail::add_policy(std::move(stack_), policy));
  }
  template <class P>
  auto with(P&& policy) const& {
    return chain(*this).with(std::forward<P>(policy));
  }

  /// As `pipeline::fallback`.
  template <class X>
  auto fallback(X&& alternative, fallback_options options = {}) && {
    return wrap(detail::append(std::move(stack_),
                               detail::make_fallback(std::forward<X>(alternative),
                                                     std::move(options))));
  }
  template <class X>
  auto fallback(X&& alternative, fallback_options options = {}) const& {
    return chain(*this).fallback(std::forward<X>(alternative), std::move(options));
  }

  /// As `pipeline::classify`.
  template <class Classifier>
  auto classify(Classifier classifier) && {
    return wrap(detail::replace_classifier(std::move(stack_), std::move(classifier)));
  }
  template <class Classifier>
  auto classify(Classifier classifier) const& {
    return chain(*this).classify(std::move(classifier));
  }

  /// As `pipeline::idempotent`.
  auto idempotent(bool may_be_repeated) && {
    stack_.idempotent = may_be_repeated;
    return std::move(*this);
  }
  auto idempotent(bool may_be_repeated) const& {
    return chain(*this).idempotent(may_be_repeated);
  }

  /// Starts the operation as an awaitable, in the chain of the coroutine that awaits it.
  asio::awaitable<result<value_type>> run() && {
    return std::move(*this).run(own_options());
  }
  asio::awaitable<result<value_type>> run() const& {
    return run(own_options());
  }

  /// The same with other options than those that `resilient` was given.
  asio::awaitable<result<value_type>> run(call_options options) && {
    return detail::run_operation<value_type>(std::move(stack_), std::move(call_),
                                             std::move(options));
  }
  asio::awaitable<result<value_type>> run(call_options options) const& {
    return detail::run_operation<value_type>(&stack_, call_, std::move(options));
  }

  /// Starts the operation with a completion token. `co_await chain` comes here.
  ///
  /// Runs on the handler's executor, and completes there, never from within this function. A token
  /// whose handler has no executor does not compile: see `on`. Throws `std::invalid_argument` if
  /// the executor is hidden in an `any_completion_handler` and is none of Asio's.
  ///
  /// Cancellation: every type ends it with `errc::cancelled`, before its first step and after.
  /// Thread safety: started and cancelled from any thread. Cost: two coroutine frames, and one
  /// allocation that is recycled by Asio's threads.
  template <asio::completion_token_for<void(result<value_type>)> Token>
  auto operator()(Token&& token) && {
    return std::move(*this)(own_options(), std::forward<Token>(token));
  }
  template <asio::completion_token_for<void(result<value_type>)> Token>
  auto operator()(Token&& token) const& {
    // How Asio asks what an operation that is awaited completes with. It then moves from it.
    static_assert(!std::same_as<std::remove_cvref_t<Token>, asio::detail::completion_signature_probe>,
                  "holdfast: a chain that has a name is awaited as chain.run(), or as "
                  "std::move(chain), once.");
    return (*this)(own_options(), std::forward<Token>(token));
  }

  /// The same with other options than those that `resilient` was given.
  template <asio::completion_token_for<void(result<value_type>)> Token>
  auto operator()(call_options options, Token&& token) && {
    return detail::start_with_token(std::move(*this).run(std::move(options)),
                                    std::forward<Token>(token));
  }
  template <asio::completion_token_for<void(result<value_type>)> Token>
  auto operator()(call_options options, Token&& token) const& {
    return detail::start_with_token(run(std::move(options)), std::forward<Token>(token));
  }

  /// Names the executor that the operation runs on, for tokens whose handlers have none. Last of
  /// all: it gives a `chain_on`.
  auto on(asio::any_io_executor executor) && {
    return chain_on<chain>(std::move(executor), std::move(*this));
  }
  auto on(asio::any_io_executor executor) const& { return chain(*this).on(std::move(executor)); }
  auto on(detail::context_for_io auto& context) && {
    return std::move(*this).on(asio::any_io_executor(context.get_executor()));
  }
  auto on(detail::context_for_io auto& context) const& { return chain(*this).on(context); }

  /// As `pipeline::safe_utilisation`.
  double safe_utilisation() const { return stack_.safe_utilisation(); }

  /// As `pipeline::timeouts`.
  std::vector<timeout_snapshot> timeouts() const { return detail::timeouts_of(stack_); }

  /// Prints the policies with every option, outermost first, the call, and `safe_utilisation` where
  /// it is below 1.
  std::string describe() const { return stack_.describe("call\n"); }

  /// For `fallback`: gives up the parts. Throws `invalid_options` if the chain has call options.
  auto into_link() && {
    detail::check_link_options(options_.has_value());
    return detail::chain_link<Call, Stack>(std::move(call_), std::move(stack_));
  }
  auto into_link() const& { return chain(*this).into_link(); }

 private:
  call_options own_options() const { return options_.value_or(call_options()); }

  template <class S>
  chain<Call, S> wrap(S stack) {
    return chain<Call, S>(std::move(call_), std::move(stack), std::move(options_));
  }

  Call call_;
  Stack stack_;
  std::optional<call_options> options_;
};

namespace detail {

template <class Call>
auto begin_chain(Call&& call, std::optional<call_options> options) {
  using plain = std::decay_t<Call>;
  using stack = layer_stack<default_classifier>;
  if constexpr (is_awaitable_v<plain>) {
    using single = single_call<awaited_t<plain>>;
    return chain<single, stack>(single{std::forward<Call>(call)}, stack({}, {}),
                                std::move(options));
  } else {
    check_call<plain>();
    if constexpr (any_call<plain>) {
      return chain<plain, stack>(std::forward<Call>(call), stack({}, {}), std::move(options));
    }
  }
}

}  // namespace detail

/// Begins a chain of policies around a call: a function that returns `asio::awaitable<T>` or
/// `asio::awaitable<result<T>>`, with no argument or with a `call_context&`; a completion-token
/// function; or a single awaitable, which cannot be retried.
template <class Call>
auto resilient(Call&& call) {
  return detail::begin_chain(std::forward<Call>(call), std::nullopt);
}

/// The same with options for the operation: key for a cache, deadline, ledger. What they refer to must
/// outlive the operation.
///
///     co_await hf::resilient(ask, {.cache_key = question}).with(hf::timeout{2s}).fallback(answers)
template <class Call>
auto resilient(Call&& call, call_options options) {
  return detail::begin_chain(std::forward<Call>(call), std::move(options));
}

}  // namespace holdfast

#endif
