// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_ENGINE_HPP
#define HOLDFAST_DETAIL_ENGINE_HPP

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/this_coro.hpp>
#include <exception>
#include <holdfast/classifier.hpp>
#include <holdfast/detail/call_traits.hpp>
#include <holdfast/detail/detach_state.hpp>
#include <holdfast/detail/layer_stack.hpp>
#include <holdfast/detail/runner.hpp>
#include <holdfast/detail/typed_layer.hpp>
#include <holdfast/ledger.hpp>
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

/// Whether `f` came from a policy that turned the call away, so that any failure of the service
/// itself says more.
inline bool is_refusal(const failure& f) noexcept { return f.code() == condition::rejected; }

template <class T>
bool is_refused(const result<T>& r) noexcept {
  return r.has_error() && is_refusal(r.assume_error());
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
template <class T>
[[gnu::noinline]] void fail_with_refusal(outcome_slot<T>& outcome, operation& op, verdict last) {
  if (op.options.ledger) op.record_refusal();
  // A refusal says less than an earlier failure of the service itself.
  if (!outcome || op.refused.code == errc::cancelled || is_refused(*outcome)) {
    fail(outcome, op.refusal_failure());
  } else {
    op.kept_verdict = last;
  }
  op.error = outcome->has_error() ? &outcome->assume_error() : nullptr;
}

/// An attempt on a chain of its own: made here, started by the initiation of the wait for it.
template <class Call>
class chain_attempt {
 public:
  using value_type = attempt_value_t<Call>;

  [[gnu::noinline]] chain_attempt(operation& op, call_keeper<Call>& call,
                                  const asio::any_io_executor& executor)
      : chain_(runner_pool<value_type>::acquire(op, executor)),
        attempt_(chain_->prepare([&](attempt_context& context) {
          context.begin(op);
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

template <class Call>
struct start_on_chain {
  chain_attempt<Call>* attempt;
  operation* op;
  template <class Handler>
  void operator()(Handler&& handler) const {
    attempt->start(*op, std::forward<Handler>(handler));
  }
};

template <class Stack>
const Stack& dereference(const Stack& s) noexcept {
  return s;
}
template <class Stack>
const Stack& dereference(const Stack* s) noexcept {
  return *s;
}

/// Whether the classifier has nothing to say about values.
template <class Classifier, class T>
inline constexpr bool accepts_any_value = !std::invocable<const Classifier&, const T&>;
template <class Classifier>
inline constexpr bool accepts_any_value<Classifier, void> = true;

/// Asks the classifier, with what it does not say filled in.
template <class Classifier, class T>
verdict judge(const Classifier& classifier, operation& op, result<T>& outcome) noexcept {
  try {
    if (outcome.has_value()) {
      op.error = nullptr;
      op.retry_after = duration(-1);
      if constexpr (!accepts_any_value<Classifier, T>) {
        const classification c = classifier(std::as_const(outcome).assume_value());
        op.retry_after = c.retry_after.value_or(duration(-1));
        return c.outcome;
      }
      return verdict::success;
    }
    failure& f = outcome.assume_error();
    op.attribute(f);
    op.error = &f;
    op.retry_after = f.retry_after().value_or(duration(-1));
    if (op.caller_cancelled() || is_refusal(f)) return verdict::neutral;
    if constexpr (std::invocable<const Classifier&, const failure&>) {
      const classification c = classifier(std::as_const(f));
      if (c.retry_after) op.retry_after = *c.retry_after;
      return c.outcome;
    } else {
      return default_classifier()(f);
    }
  } catch (...) {
    // A classifier that throws has no say: nothing is counted and nothing is repeated.
    return verdict::request_fault;
  }
}

/// Starts the link of the fallback layer `at`.
template <class T, class Stack>
asio::awaitable<result<T>> start_link(const Stack& stack, std::size_t at, operation& op,
                                      const result<T>& outcome) {
  std::optional<asio::awaitable<result<T>>> started;
  Stack::visit(at, [&]<std::size_t I>(std::integral_constant<std::size_t, I>) {
    const auto& layer = std::get<I>(stack.layers);
    if constexpr (std::remove_cvref_t<decltype(layer)>::kind == policy_kind::fallback) {
      started.emplace(layer.template start<T>(op, outcome));
    }
    return step::go;
  });
  return std::move(*started);
}

/// Lets the link of the fallback layer `at` answer in place of `outcome`. It runs as an operation of
/// its own within this one. A coroutine apart, so that calls that go well do not carry its frame.
template <class T, class Stack>
asio::awaitable<verdict> take_over(const Stack& stack, std::size_t at, operation& op,
                                   outcome_slot<T>& outcome) {
  const time_point started = op.now();
  outcome_slot<T> answer;
  try {
    answer.emplace(co_await start_link<T>(stack, at, op, *outcome));
  } catch (...) {
    fail_with_current_exception(answer);
  }
  op.coroutine = co_await asio::this_coro::cancellation_state;
  const verdict v = judge(stack.classifier, op, *answer);
  if (op.options.ledger) op.record_link(started, v, op.error);
  // A refusal says less than a failure of the service itself.
  if (answer->has_value() || op.caller_cancelled() || is_refused(*outcome) ||
      !is_refused(*answer)) {
    outcome.emplace(std::move(*answer));
  }
  op.error = outcome->has_error() ? &outcome->assume_error() : nullptr;
  co_return v;
}

// GCC does not see that Asio's frames are allocated and freed by the same pair of operators.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

/// Runs one operation: walks down the layers, makes the attempt, walks up again, and does every
/// wait in between. The only coroutine of ours in the way of a call.
///
/// `Stack` is a layer stack or a pointer to one that outlives the operation. The frame is kept below
/// the size that Asio recycles: what a call that goes well does not need lives elsewhere.
template <class T, class Stack, class Call>
asio::awaitable<result<T>> run_operation(Stack stack_or_pointer, Call user_call,
                                         call_options options) {
  const auto& stack = dereference(stack_or_pointer);
  using stack_type = std::remove_cvref_t<decltype(stack)>;
  using value_type = attempt_value_t<Call>;

  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  operation op(executor, options);
  op.detachable = stack_type::typed && detachable_v<stack_type, Call>;
  call_keeper<Call> call(std::move(user_call));
  typename stack_type::frames frames;
  outcome_slot<T> outcome;
  verdict v{};
  std::size_t at = stack_type::size;

  for (;;) {
    op.coroutine = co_await asio::this_coro::cancellation_state;
    op.start_edge<stack_type::reads_time>();
    step next = stack.enter(frames, op, at);
    while (next == step::wait) [[unlikely]] {
      if (!op.caller_cancelled()) co_await operation::wait(op);
      const wait_end end = op.finish_wait();
      op.start_edge_precisely();
      next = stack.resumed(frames, op, at, end);
    }

    if ((next == step::go || next == step::fault) && op.begin_attempt()) [[likely]] {
      const time_point started = options.ledger ? op.now() : time_point();
      ++op.attempts_started;
      try {
        const bool in_this_chain =
            !op.timed() || (takes_scope_v<Call> && op.serialised_by != affinity::none &&
                            !op.limit.detach);
        if (next == step::fault) [[unlikely]] {
          ++at;
          fail(outcome, std::exchange(op.injected, {}));
        } else if (in_this_chain) [[likely]] {
          if (op.serialised_by == affinity::context) [[likely]] {
            op.arm();
          } else {
            op.arm_on(executor);
          }
          if constexpr (token_call<Call>) {
            conclude<T, Call>(outcome, co_await call.get()(asio::as_tuple(op.token())));
          } else if constexpr (std::is_void_v<value_type>) {
            co_await attempt_of(call.get(), op);
            conclude<T, Call>(outcome);
          } else {
            conclude<T, Call>(outcome, co_await attempt_of(call.get(), op));
          }
        } else {
          chain_attempt<Call> attempt(op, call, executor);
          co_await asio::async_initiate<const asio::deferred_t, void()>(
              start_on_chain<Call>{&attempt, &op}, asio::deferred);
          attempt.finish(op, outcome);
        }
      } catch (...) {
        fail_with_current_exception(outcome);
      }
      op.disarm();
      if (accepts_any_value<typename stack_type::classifier_type, T> && outcome->has_value()) [[likely]] {
        v = verdict::success;
        op.start_edge<stack_type::reads_time>();
      } else {
        op.coroutine = co_await asio::this_coro::cancellation_state;
        v = judge(stack.classifier, op, *outcome);
        op.start_edge_precisely();
      }
      if (options.ledger) [[unlikely]] op.record_attempt(started, v, op.error);
    } else if (stack_type::typed && next == step::answer) {
      if constexpr (stack_type::typed) {
        if (refreshes(stack, frames, at)) {
          start_refresh<T>(stack, frames, at, op, call.get(), executor);
        }
        v = answer_at<T>(stack, frames, at++, op, outcome);
      }
    } else {
      // Refused by the layer `at`, or by the operation itself when the call was next.
      if (next != step::go) ++at;
      fail_with_refusal(outcome, op, v);
      v = verdict::neutral;
    }

    for (;;) {
      next = stack.leave(frames, op, v, at);
      if (next == step::go) [[likely]] {
        if (outcome->has_error()) outcome->assume_error().set_attempts(op.attempts_started);
        op.close(is_answer(v));
        co_return std::move(*outcome);
      }
      if (next == step::again) {
        op.prepare_wait();
        if (!op.caller_cancelled()) co_await operation::wait(op);
        if (op.finish_wait() != wait_end::cancelled) break;
        fail(outcome, errc::cancelled);
        v = verdict::neutral;
      } else if (stack_type::typed && next == step::answer) {
        if constexpr (stack_type::typed) v = settle_at<T>(stack, frames, at, op, outcome, v);
      } else {
        op.start_edge_precisely();
        if constexpr (stack_type::template has<policy_kind::fallback>) {
          if (op.begin_attempt()) {
            v = co_await take_over<T>(stack, at, op, outcome);
            op.start_edge_precisely();
          }
        }
      }
      ++at;
    }
  }
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

}  // namespace holdfast::detail

#endif
