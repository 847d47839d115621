// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_ENGINE_HPP
#define HOLDFAST_DETAIL_ENGINE_HPP

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/this_coro.hpp>
#include <exception>
#include <holdfast/classifier.hpp>
#include <holdfast/detail/attempt.hpp>
#include <holdfast/detail/call_traits.hpp>
#include <holdfast/detail/hedge_race.hpp>
#include <holdfast/detail/judge.hpp>
#include <holdfast/detail/layer_stack.hpp>
#include <holdfast/detail/typed_layer.hpp>
#include <holdfast/ledger.hpp>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

namespace holdfast::detail {

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

/// A layer stack that lives in its operation.
template <class Stack>
struct owned_stack {
  Stack stack;
  const Stack& operator*() const noexcept { return stack; }
  const Stack* operator->() const noexcept { return &stack; }
};

/// The initiation that posts a coroutine to its own executor, which it has left.
struct go_home {
  template <class Handler>
  void operator()(Handler&& handler) const {
    resumption back;
    back.store(std::forward<Handler>(handler));
    back.reserve_at_any_cost();
    back.post();
  }
};

/// Brings the operation's coroutine home if it has left its executor, then makes the wait if a layer
/// asks for one. Await it while `throw_if_cancelled` is false, so that a cancelled coroutine comes home
/// as well; it then sets that to `throws`. Needs no memory once it is made.
inline asio::awaitable<void> pause(operation& op, asio::awaitable<void> wait, const bool& throws) {
  if (!op.home.here()) {
    co_await asio::async_initiate<const asio::deferred_t, void()>(go_home(), asio::deferred);
  }
  op.coroutine = co_await asio::this_coro::cancellation_state;
  if (wait.valid() && !op.caller_cancelled()) co_await std::move(wait);
  co_await asio::this_coro::throw_if_cancelled(throws);
}

/// What the outcome says of the service, and what the layers need to know of it.
template <class Classifier, class T>
verdict judge(const Classifier& classifier, operation& op, result<T>& outcome) noexcept {
  op.error = nullptr;
  op.retry_after = duration(-1);
  if (outcome.has_error()) {
    failure& f = outcome.assume_error();
    op.attribute(f);
    op.error = &f;
    if (op.caller_cancelled()) return verdict::neutral;
  }
  const classification c = classify(classifier, std::as_const(outcome));
  op.retry_after = c.retry_after.value_or(duration(-1));
  return c.outcome;
}

/// Ends an attempt: judges its outcome and records it in the ledger, if there is one.
template <class T, class Stack>
[[gnu::always_inline]] inline verdict end_attempt(const Stack& stack, operation& op, result<T>& outcome,
                                                  bool counts) {
  op.disarm();
  const time_point started = op.options.ledger ? op.now() : time_point();
  verdict v = verdict::success;
  if (accepts_any_value<typename Stack::classifier_type, T> && outcome.has_value()) [[likely]] {
    op.start_edge<Stack::reads_time>();
  } else {
    v = judge(stack.classifier, op, outcome);
    op.start_edge_precisely();
  }
  if (op.options.ledger && counts) [[unlikely]] {
    op.record_attempt(op.attempt(), started, v,
                      op.error ? op.error->code() : boost::system::error_code());
  }
  return v;
}

/// Goes on down after a wait.
template <class Stack>
[[gnu::noinline]] step resume_descent(const Stack& stack, typename Stack::frames& frames,
                                      operation& op, layer_index& at) {
  const wait_end end = op.finish_wait();
  op.start_edge_precisely();
  return stack.resumed(frames, op, at, end);
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

/// Ranks outcomes that are no answers: an outage of the service above a fault of the request, and that
/// above a rejection.
template <class T>
int rank_of(const result<T>& outcome, verdict v) {
  if (is_refused(outcome) || v == verdict::neutral) return 0;
  return v == verdict::request_fault ? 1 : 2;
}

/// Lets the link of the fallback layer `at` answer in place of `outcome`, whose verdict is `v`. It runs
/// as an operation of its own within this one. A coroutine apart, so that calls that go well do not
/// carry its frame.
template <class T, class Stack>
asio::awaitable<void> take_over(const Stack& stack, std::size_t at, operation& op,
                                outcome_slot<T>& outcome, verdict& v) {
  const time_point started = op.now();
  if (outcome->has_error()) outcome->assume_error().set_attempts(op.attempts_started);
  outcome_slot<T> answer;
  try {
    answer.emplace(co_await start_link<T>(stack, at, op, *outcome));
  } catch (...) {
    fail_with_current_exception(answer);
  }
  op.coroutine = co_await asio::this_coro::cancellation_state;
  const verdict judged = judge(stack.classifier, op, *answer);
  if (op.options.ledger) op.record_link(started, judged, op.error);
  if (answer->has_value() || op.caller_cancelled() ||
      rank_of(*answer, judged) >= rank_of(*outcome, v)) {
    outcome.emplace(std::move(*answer));
    v = judged;
  }
  op.error = outcome->has_error() ? &outcome->assume_error() : nullptr;
}

// GCC does not see that Asio's frames are allocated and freed by the same pair of operators, nor, for
// a call of internal linkage below a hedge, that the coroutine's own linkage is internal, too.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#pragma GCC diagnostic ignored "-Wsubobject-linkage"
#endif

/// Runs one operation: walks down the layers, makes the attempt, walks up again, and does every
/// wait in between. The only coroutine of ours in the way of a call.
///
/// `StackPointer` is a pointer to a layer stack, or an `owned_stack`. The frame is kept below the
/// size that Asio recycles: what a call that goes well does not need lives elsewhere.
template <class T, class StackPointer, class Call>
asio::awaitable<result<T>> operate(StackPointer stack, call_keeper<Call> call,
                                   call_options options) {
  using stack_type = std::remove_cvref_t<decltype(*stack)>;
  using value_type = attempt_value_t<Call>;

  asio::any_io_executor executor = co_await asio::this_coro::executor;
  operation op(executor, options);
  op.restrict_repetition(stack->idempotent);
  op.detachable = stack_type::typed && detachable_v<stack_type, Call>;
  typename stack_type::frames frames;
  outcome_slot<T> outcome;
  asio::awaitable<void> detour;
  verdict v{};
  step next{};
  layer_index at = stack_type::size;
  bool attempted = false;  // an attempt has ended, and is to be judged
  bool counts = true;      // it has a number of its own
  bool throws = false;     // what the coroutine's `throw_if_cancelled` says

  // What is thrown outside of the attempt comes from a function of the user's, or is a lack of
  // memory. The layers' frames give back what they hold.
  try {
    for (;;) {
      // Before the operation begins, after each attempt, and for each wait and link.
      if (is_wait(next) || next == step::replace || !op.home.here()) [[unlikely]] {
        if constexpr (stack_type::template has<policy_kind::fallback>) {
          if (next == step::replace) detour = take_over<T>(*stack, at, op, outcome, v);
        }
        if (next != step::replace) {
          detour = pause(op, is_wait(next) ? operation::wait(op) : asio::awaitable<void>(), throws);
          throws = co_await asio::this_coro::throw_if_cancelled();
          co_await asio::this_coro::throw_if_cancelled(false);
        }
        co_await std::move(detour);
      }
      op.coroutine = co_await asio::this_coro::cancellation_state;
      if (attempted) {
        attempted = false;
        v = end_attempt(*stack, op, *outcome, counts);
      } else if (next == step::replace) [[unlikely]] {
        op.start_edge_precisely();
        ++at;
      } else if (next == step::again && op.finish_wait() == wait_end::cancelled) [[unlikely]] {
        fail(outcome, errc::cancelled);
        v = verdict::neutral;
        ++at;
      } else {
        if (next == step::wait) [[unlikely]] {
          next = resume_descent(*stack, frames, op, at);
        } else {
          op.open();
          op.start_descent<stack_type::reads_time,
                           stack_type::template has<policy_kind::timeout>>();
          next = stack->enter(frames, op, at);
        }
        if (next == step::wait) [[unlikely]] continue;
        if ((next == step::go || next == step::fault) &&
            op.begin_attempt(next == step::fault)) [[likely]] {
          attempted = true;
          if (options.ledger) [[unlikely]] static_cast<void>(op.now());  // the attempt's start
          // The attempts below a hedge count as they start.
          counts = !stack_type::hedged || next == step::fault;
          if (counts) op.number_attempt();
          try {
            if (next == step::fault) [[unlikely]] {
              fail(outcome, stack->fault(frames, at++));
            } else if constexpr (stack_type::hedged) {
              using attempt_type =
                  hedged_attempt<T, typename stack_type::innermost,
                                 typename stack_type::classifier_type, Call>;
              attempt_type attempt(op, std::get<0>(stack->layers), stack->classifier, call);
              co_await start_attempt(attempt);
              attempt.finish(outcome);
            } else if (!op.timed() ||
                       (takes_scope_v<Call> && op.home.serial() && !op.limit.detach)) [[likely]] {
              op.arm_when_heard();
              if constexpr (token_call<Call>) {
                conclude<T, Call>(outcome, co_await call.get()(asio::as_tuple(op.token())));
              } else if constexpr (std::is_void_v<value_type>) {
                co_await attempt_of(call.get(), op);
                conclude<T, Call>(outcome);
              } else {
                conclude<T, Call>(outcome, co_await attempt_of(call.get(), op));
              }
            } else {
              chain_attempt<Call> attempt(op, call);
              co_await start_attempt(attempt);
              attempt.finish(outcome);
            }
          } catch (...) {
            fail_with_current_exception(outcome);
          }
          continue;
        }
        if (stack_type::typed && next == step::answer) {
          if constexpr (stack_type::typed) {
            if (refreshes(*stack, frames, at)) {
              start_refresh<T>(*stack, frames, at, op, call.get(), op.home.executor());
            }
            v = answer_at<T>(*stack, frames, at++, op, outcome);
          }
        } else {
          // Refused by the layer `at`, or by the operation itself when the call was next.
          if (next != step::go) ++at;
          fail_with_refusal(outcome, op, v);
          v = verdict::neutral;
        }
      }

      for (;;) {
        next = stack->leave(frames, op, v, at);
        if (next == step::go) [[likely]] {
          if (outcome->has_error()) outcome->assume_error().set_attempts(op.attempts_started);
          op.close(is_answer(v));
          co_return std::move(*outcome);
        }
        if (next == step::again) {
          op.prepare_wait();
          break;
        } else if (stack_type::typed && next == step::answer) {
          if constexpr (stack_type::typed) v = settle_at<T>(*stack, frames, at, op, outcome, v);
        } else {
          op.start_edge_precisely();
          if (op.begin_link(v)) break;
        }
        ++at;
      }
    }
  } catch (...) {
    fail_with_current_exception(outcome);
    outcome->assume_error().set_attempts(op.attempts_started);
    op.close(false);
  }
  co_return std::move(*outcome);
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/// Names the place in the program where temporaries of one type are made.
template <class Stack, class Call>
struct operation_place;

/// Starts an operation; `Stack` is a layer stack or a pointer to one that outlives the operation.
template <class T, class Stack, class Call>
asio::awaitable<result<T>> run_operation(Stack stack, Call call, call_options options) {
  check_classifier<typename std::remove_pointer_t<Stack>::classifier_type, T>();
  call_keeper<Call> kept(std::move(call));
  if constexpr (std::is_pointer_v<Stack>) {
    return operate<T>(stack, std::move(kept), std::move(options));
  } else {
    stack.template share_bounds<operation_place<Stack, Call>>();
    return operate<T>(owned_stack<Stack>{std::move(stack)}, std::move(kept), std::move(options));
  }
}

}  // namespace holdfast::detail

#endif
