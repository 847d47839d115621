// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_BENCHMARKS_PAIRED_HPP
#define HOLDFAST_BENCHMARKS_PAIRED_HPP

#include <benchmark/benchmark.h>

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <exception>
#include <thread>
#include <utility>
#include <vector>

#include "../tests/support/allocations.hpp"

/// \file
/// Rows that are paired with their own bare call: in every iteration the two run in turn, in the
/// same coroutine, so that whatever else the machine does hits both.

namespace bench {

namespace asio = boost::asio;

/// What the context holds besides the benchmark, as a server does.
enum class timers {
  pending,  ///< A timer of Asio's own that is due before any of ours.
  none,     ///< An idle program: Asio sets the kernel's timer for each operation.
};

inline double median(std::vector<double> v) {
  if (v.empty()) return 0;
  const auto middle = v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2);
  std::nth_element(v.begin(), middle, v.end());
  return *middle;
}

/// How many calls are timed at a time.
inline constexpr int batch = 500;

/// Times batches of `bare()` and of `row()`, each of which gives an awaitable.
/// Counters: `added_ns`, the median over all batches of what the row costs beyond the bare call of
/// the same moment; `bare_ns`; `allocs_per_op`, of the row, after the first batch.
template <class Bare, class Row>
asio::awaitable<void> run_paired(benchmark::State& state, Bare bare, Row row) {
  using clock = std::chrono::steady_clock;
  const auto ns = [](clock::duration d) {
    return std::chrono::duration<double, std::nano>(d).count() / batch;
  };
  for (int i = 0; i < batch; ++i) {
    static_cast<void>(co_await bare());
    static_cast<void>(co_await row());
  }
  std::vector<double> added;
  std::vector<double> alone;
  added.reserve(1 << 20);
  alone.reserve(1 << 20);
  std::uint64_t allocated = 0;
  std::uint64_t calls = 0;
  while (state.KeepRunningBatch(batch)) {
    const auto start = clock::now();
    for (int i = 0; i < batch; ++i) static_cast<void>(co_await bare());
    const auto middle = clock::now();
    const auto before = support::allocations();
    for (int i = 0; i < batch; ++i) static_cast<void>(co_await row());
    allocated += support::allocations() - before;
    const auto end = clock::now();
    calls += batch;
    alone.push_back(ns(middle - start));
    added.push_back(ns(end - middle) - ns(middle - start));
    state.SetIterationTime(std::chrono::duration<double>(end - middle).count());
  }
  state.counters["added_ns"] = median(std::move(added));
  state.counters["bare_ns"] = median(std::move(alone));
  state.counters["allocs_per_op"] = static_cast<double>(allocated) / static_cast<double>(calls);
}

/// Keeps a timer pending that is due before any timeout of the benchmarks, until told to stop.
inline asio::awaitable<void> keep_timer_pending(asio::steady_timer& timer, const bool& stop) {
  while (!stop) {
    timer.expires_after(std::chrono::milliseconds(200));
    try {
      co_await timer.async_wait(asio::use_awaitable);
    } catch (const boost::system::system_error&) {
      break;
    }
  }
}

/// Runs `context` on so many threads, this one among them, until it has nothing left to do.
inline void run(asio::io_context& context, int threads) {
  std::vector<std::jthread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back([&context] { context.run(); });
  context.run();
}

/// Runs the pair on an executor of `context`, which `threads` threads run. There is one client,
/// however many threads there are: the others are idle, one of them waits in the reactor, and a step
/// of the client may wake them. The reactor is in use, as in any server.
template <class Executor, class Bare, class Row>
void paired_on(benchmark::State& state, asio::io_context& context, const Executor& executor,
               int threads, Bare bare, Row row, timers t = timers::pending) {
  const auto serial = asio::make_strand(context);  // for the timer, which is told to stop
  asio::steady_timer reactor(serial);
  bool stop = false;
  if (t == timers::pending) {
    asio::co_spawn(serial, keep_timer_pending(reactor, stop), [](std::exception_ptr) {});
  }
  asio::co_spawn(executor, run_paired(state, std::move(bare), std::move(row)),
                 [&](std::exception_ptr e) {
                   asio::post(serial, [&] {
                     stop = true;
                     reactor.cancel();
                   });
                   if (e) std::rethrow_exception(e);
                 });
  run(context, threads);
}

/// The same on the context's own executor, and this thread alone.
template <class Bare, class Row>
void paired(benchmark::State& state, asio::io_context& context, Bare bare, Row row,
            timers t = timers::pending) {
  paired_on(state, context, context.get_executor(), 1, std::move(bare), std::move(row), t);
}

}  // namespace bench

#endif
