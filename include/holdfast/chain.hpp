// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_CHAIN_HPP
#define HOLDFAST_CHAIN_HPP

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <holdfast/pipeline.hpp>
#include <optional>
#include <string>
#include <utility>

namespace holdfast {

/// A call together with its policies: what `resilient(call)` starts.
///
///     auto answer = co_await hf::resilient(ask).with(hf::timeout{2s}).fallback("sorry"s);
///
/// An Asio operation: `co_await` it, or start it with any completion token; the handler's signature
/// is `void(hf::result<T>)`. It then runs on a coroutine chain of its own. `run()` gives an
/// awaitable in the caller's chain, and takes options; a `pipeline`, made once, is cheaper still.
///
/// Started as a temporary it owns what it needs. A named chain is awaited as `chain.run()`: that
/// copies the call, and the chain must outlive the operation. (Asio awaits only operations that are
/// rvalues, so `co_await std::move(chain)` works as well, once.)
template <class Call, class Stack>
class chain {
 public:
  using is_holdfast_chain = void;
  using value_type = detail::call_result_t<Call>;

  chain(Call call, Stack stack) : call_(std::move(call)), stack_(std::move(stack)) {}

  /// As `pipeline::with`.
  template <class Policy>
  auto with(const Policy& policy) && {
    detail::check_policy<Policy>();
    if constexpr (detail::policy<Policy>) {
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
  template <class Policy>
  auto with(const Policy& policy) const& {
    return chain(*this).with(policy);
  }

  /// As `pipeline::fallback`.
  template <class X>
  auto fallback(X&& alternative, fallback_options options = {}) && {
    using link = detail::link_t<X&&>;
    return wrap(detail::append(
        std::move(stack_),
        detail::fallback_layer<link>(detail::make_link(std::forward<X>(alternative)),
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
  asio::awaitable<result<value_type>> run(call_options options = {}) && {
    return detail::run_operation<value_type>(std::move(stack_), std::move(call_),
                                             std::move(options));
  }
  asio::awaitable<result<value_type>> run(call_options options = {}) const& {
    return detail::run_operation<value_type>(&stack_, call_, std::move(options));
  }

  /// Starts the operation with a completion token. `co_await chain` comes here.
  template <asio::completion_token_for<void(result<value_type>)> Token>
  auto operator()(Token&& token) && {
    return asio::async_initiate<Token, void(result<value_type>)>(initiate(), token,
                                                                 std::move(*this).run());
  }
  template <asio::completion_token_for<void(result<value_type>)> Token>
  auto operator()(Token&& token) const& {
    return asio::async_initiate<Token, void(result<value_type>)>(initiate(), token, run());
  }

  /// As `pipeline::safe_utilisation`.
  double safe_utilisation() const { return stack_.safe_utilisation(); }

  /// Prints the policies with every option, outermost first, the call, and `safe_utilisation` where
  /// it is below 1.
  std::string describe() const { return stack_.describe("call\n"); }

  /// For `fallback`: gives up the parts.
  auto into_link() && {
    return detail::chain_link<Call, Stack>(std::move(call_), std::move(stack_));
  }
  auto into_link() const& { return detail::chain_link<Call, Stack>(call_, stack_); }

 private:
  template <class S>
  chain<Call, S> wrap(S stack) {
    return chain<Call, S>(std::move(call_), std::move(stack));
  }

  struct initiate {
    template <class Handler>
    void operator()(Handler&& handler, asio::awaitable<result<value_type>> operation) const {
      const asio::any_io_executor executor = asio::get_associated_executor(handler);
      const auto slot = asio::get_associated_cancellation_slot(handler);
      asio::co_spawn(
          executor, optional_of(std::move(operation)),
          asio::bind_cancellation_slot(
              slot, [h = std::forward<Handler>(handler)](
                        std::exception_ptr e, std::optional<result<value_type>> r) mutable {
                if (e) r.emplace(detail::failed<value_type>(failure(std::move(e))));
                std::move(h)(std::move(*r));
              }));
    }
  };

  // co_spawn needs a default-constructible value, and lets only terminal cancellation through
  // unless told otherwise; the caller's own filter has spoken already.
  static asio::awaitable<std::optional<result<value_type>>> optional_of(
      asio::awaitable<result<value_type>> operation) {
    co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
    co_return co_await std::move(operation);
  }

  Call call_;
  Stack stack_;
};

/// Begins a chain of policies around a call: a function that returns `asio::awaitable<T>` or
/// `asio::awaitable<result<T>>`, with no argument or with a `call_context&`; a completion-token
/// function; or a single awaitable, which cannot be retried.
template <class Call>
auto resilient(Call&& call) {
  using plain = std::decay_t<Call>;
  using stack = detail::layer_stack<default_classifier>;
  if constexpr (detail::is_awaitable_v<plain>) {
    using single = detail::single_call<detail::awaited_t<plain>>;
    return chain<single, stack>(single{std::forward<Call>(call)}, stack({}, {}));
  } else {
    detail::check_call<plain>();
    if constexpr (detail::any_call<plain>) {
      return chain<plain, stack>(std::forward<Call>(call), stack({}, {}));
    }
  }
}

}  // namespace holdfast

#endif
