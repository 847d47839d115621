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
#include <holdfast/detail/layer_stack.hpp>
#include <holdfast/detail/runner.hpp>
#include <holdfast/ledger.hpp>
#include <memory>
#include <optional>
#include <utility>

namespace holdfast::detail {

/// Keeps the user's callable until the operation ends, and beyond it where a detaching timeout
/// leaves an attempt running.
template <class Call>
class call_keeper {
 public:
  explicit call_keeper(Call&& call) : own_(std::move(call)) {}

  Call& get() noexcept { return shared_ ? *shared_ : *own_; }

  std::shared_ptr<void> share() {
    if (!shared_) {
      shared_ = std::make_shared<Call>(std::move(*own_));
      own_.reset();
    }
    return shared_;
  }

 private:
  std::optional<Call> own_;
  std::shared_ptr<Call> shared_;
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

/// Turns what awaiting the attempt gave into the operation's result.
template <class T, class Call, class U>
result<T> conclude(U&& value) {
  if constexpr (token_call<Call>) {
    return completion_to_result<T>(std::forward<U>(value));
  } else {
    return to_result<T>(std::forward<U>(value));
  }
}

/// Whether `f` came from a policy that turned the call away, so that any failure of the service
/// itself says more.
inline bool is_refusal(const failure& f) noexcept { return f.code() == condition::rejected; }

template <class T>
bool is_refused(const result<T>& r) noexcept {
  return r.has_error() && is_refusal(r.assume_error());
}

template <class Stack>
const Stack& dereference(const Stack& s) noexcept {
  return s;
}
template <class Stack>
const Stack& dereference(const Stack* s) noexcept {
  return *s;
}

/// Asks the classifier, with what it does not say filled in.
template <class Classifier, class T>
verdict judge(const Classifier& classifier, operation& op, result<T>& outcome) noexcept {
  try {
    if (outcome.has_value()) {
      op.error = nullptr;
      op.retry_after = duration(-1);
      if constexpr (!std::is_void_v<T>) {
        if constexpr (std::invocable<const Classifier&, const T&>) {
          const classification c = classifier(std::as_const(outcome).assume_value());
          op.retry_after = c.retry_after.value_or(duration(-1));
          return c.outcome;
        }
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

/// Runs one operation: walks down the layers, makes the attempt, walks up again, and does every
/// wait in between. The only coroutine of ours in the way of a call.
///
/// `Stack` is a layer stack or a pointer to one that outlives the operation.
template <class T, class Stack, class Call>
asio::awaitable<result<T>> run_operation(Stack stack_or_pointer, Call user_call,
                                         call_options options) {
  const auto& stack = dereference(stack_or_pointer);
  using stack_type = std::remove_cvref_t<decltype(stack)>;
  using value_type = attempt_value_t<Call>;

  operation op(co_await asio::this_coro::executor, options);
  call_keeper<Call> call(std::move(user_call));
  typename stack_type::frames frames;
  std::optional<result<T>> outcome;
  verdict v{};
  std::size_t at = stack_type::size;

  for (;;) {
    op.coroutine = co_await asio::this_coro::cancellation_state;
    op.now = op.time().now();
    step next = stack.enter(frames, op, at);
    while (next == step::wait) [[unlikely]] {
      if (!op.caller_cancelled()) {
        co_await asio::async_initiate<const asio::deferred_t, void()>(
            [&op](auto handler) { op.start_wait(std::move(handler)); }, asio::deferred);
      }
      const wait_end end = op.finish_wait();
      op.now = op.time().precise_now();
      next = stack.resumed(frames, op, at, end);
    }

    if (next == step::go && op.begin_attempt()) [[likely]] {
      const time_point started = op.now;
      try {
        if (!op.timed() || (takes_scope_v<Call> && op.serialised_by != affinity::none &&
                            !op.limit.detach)) {
          op.arm();
          if constexpr (token_call<Call>) {
            outcome.emplace(
                conclude<T, Call>(co_await call.get()(asio::as_tuple(op.token()))));
          } else if constexpr (std::is_void_v<value_type>) {
            co_await attempt_of(call.get(), op);
            outcome.emplace(success());
          } else {
            outcome.emplace(conclude<T, Call>(co_await attempt_of(call.get(), op)));
          }
        } else {
          attempt_sink<value_type> sink;
          {
            const auto chain = runner_pool<value_type>::acquire(op);
            chain->context.begin(op);
            auto kept = op.limit.detach ? call.share() : nullptr;
            auto attempt = chain->prepare([&](auto& context) {
              return attempt_of(call.get(), context);
            });
            co_await asio::async_initiate<const asio::deferred_t, void()>(
                [&](auto handler) {
                  op.pass_cancellation(handler, [chain, job = chain->next_job()](auto) {
                    chain->cancel_for_caller(job);
                  });
                  chain->start(std::move(attempt), sink, op.limit, std::move(kept),
                               std::move(handler));
                },
                asio::deferred);
          }
          op.attempt_over(sink.timed_out);
          if (sink.exception) {
            outcome.emplace(failed<T>(failure(std::move(sink.exception))));
          } else if (!sink.value) {
            outcome.emplace(failed<T>(op.timeout_failure()));
          } else if constexpr (std::is_void_v<value_type>) {
            outcome.emplace(success());
          } else {
            outcome.emplace(conclude<T, Call>(std::move(*sink.value)));
          }
        }
      } catch (...) {
        outcome.emplace(failed<T>(failure(std::current_exception())));
      }
      op.disarm();
      op.coroutine = co_await asio::this_coro::cancellation_state;
      v = judge(stack.classifier, op, *outcome);
      op.now = v == verdict::success ? op.time().now() : op.time().precise_now();
      if (options.ledger) [[unlikely]] op.record_attempt(started, v, op.error);
      at = 0;
    } else {
      // Refused by the layer `at`, or by the operation itself when the call was next.
      if (next == step::refuse) ++at;
      if (options.ledger) op.record_refusal();
      v = verdict::neutral;
      if (!outcome || op.refused.code == errc::cancelled || is_refused(*outcome)) {
        outcome.emplace(failed<T>(op.refusal_failure()));
      }
      op.error = outcome->has_error() ? &outcome->assume_error() : nullptr;
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
        if (!op.caller_cancelled()) {
          co_await asio::async_initiate<const asio::deferred_t, void()>(
              [&op](auto handler) { op.start_wait(std::move(handler)); }, asio::deferred);
        }
        if (op.finish_wait() != wait_end::cancelled) break;
        outcome.emplace(failed<T>(failure(errc::cancelled)));
        v = verdict::neutral;
      } else if (op.now = op.time().precise_now(); op.begin_attempt()) {
        // The layer's link takes over; it runs as an operation of its own within this one.
        if constexpr (stack_type::template has<policy_kind::fallback>) {
          const time_point started = op.now;
          std::optional<result<T>> answer;
          try {
            answer.emplace(co_await start_link<T>(stack, at, op, *outcome));
          } catch (...) {
            answer.emplace(failed<T>(failure(std::current_exception())));
          }
          op.coroutine = co_await asio::this_coro::cancellation_state;
          v = judge(stack.classifier, op, *answer);
          op.now = op.time().precise_now();
          if (options.ledger) op.record_link(started, v, op.error);
          if (answer->has_value() || op.caller_cancelled() || is_refused(*outcome) ||
              !is_refused(*answer)) {
            outcome.emplace(std::move(*answer));
          }
          op.error = outcome->has_error() ? &outcome->assume_error() : nullptr;
        }
      }
      ++at;
    }
  }
}

}  // namespace holdfast::detail

#endif
