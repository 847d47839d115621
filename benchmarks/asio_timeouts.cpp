// SPDX-License-Identifier: BSL-1.0
// What do Asio's own ways to give a call one timeout add to it? The reference for our figures.
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancel_after.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

#include "calls.hpp"
#include "paired.hpp"

using namespace bench;
using namespace std::chrono_literals;

namespace {

void with_cancel_after(benchmark::State& state, timers t) {
  asio::io_context context{1};
  const auto executor = context.get_executor();
  paired(
      state, context, opaque_call,
      [executor] {
        return asio::co_spawn(executor, opaque_call(), asio::cancel_after(2s, asio::deferred));
      },
      t);
}

/// A strand's handlers never overlap, and the timer's is one of them.
void asio_cancel_after_strand(benchmark::State& state) {
  asio::io_context context;
  const auto strand = asio::make_strand(context);
  paired_on(state, context, strand, 1, opaque_call, [strand] {
    return asio::co_spawn(strand, opaque_call(), asio::cancel_after(2s, asio::deferred));
  });
}
BENCHMARK(asio_cancel_after_strand)->UseManualTime();

/// On an executor that serialises nothing, the call and its timer need a strand. The timer runs on
/// the executor of the completion handler: so the strand is bound to the token, too. Without that
/// the timer may cancel the call while the call runs, and some operations never complete.
void with_cancel_after_and_strand(benchmark::State& state, int threads) {
  asio::io_context context;
  const auto executor = context.get_executor();
  paired_on(state, context, executor, threads, opaque_call, [executor] {
    const auto strand = asio::make_strand(executor);
    return asio::co_spawn(strand, opaque_call(),
                          asio::cancel_after(2s, asio::bind_executor(strand, asio::deferred)));
  });
}

void asio_cancel_after_threads(benchmark::State& state) { with_cancel_after_and_strand(state, 1); }
BENCHMARK(asio_cancel_after_threads)->UseManualTime();

void asio_cancel_after_four_threads(benchmark::State& state) {
  with_cancel_after_and_strand(state, 4);
}
BENCHMARK(asio_cancel_after_four_threads)->UseManualTime();

void with_or_timer(benchmark::State& state, timers t) {
  asio::io_context context{1};
  paired(
      state, context, opaque_call,
      [&context]() -> asio::awaitable<void> {
        using namespace asio::experimental::awaitable_operators;
        asio::steady_timer timer(context, 2s);
        co_await (opaque_call() || timer.async_wait(asio::use_awaitable));
      },
      t);
}

void asio_cancel_after(benchmark::State& state) { with_cancel_after(state, timers::pending); }
BENCHMARK(asio_cancel_after)->UseManualTime();

void asio_cancel_after_idle(benchmark::State& state) { with_cancel_after(state, timers::none); }
BENCHMARK(asio_cancel_after_idle)->UseManualTime();

void asio_or_timer(benchmark::State& state) { with_or_timer(state, timers::pending); }
BENCHMARK(asio_or_timer)->UseManualTime();

void asio_or_timer_idle(benchmark::State& state) { with_or_timer(state, timers::none); }
BENCHMARK(asio_or_timer_idle)->UseManualTime();

}  // namespace
