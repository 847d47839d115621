// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_TESTING_LOAD_HPP
#define HOLDFAST_TESTING_LOAD_HPP

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <exception>
#include <holdfast/clock.hpp>
#include <holdfast/testing/call_log.hpp>
#include <holdfast/testing/call_series.hpp>
#include <holdfast/testing/dice.hpp>
#include <holdfast/time/sleep_for.hpp>
#include <memory>
#include <utility>

/// \file
/// Clients that call, in the time of their context. An operation is a function that returns an
/// awaitable of a `result`; each run of it is written to a log: a `call_log`, or a `call_series`.
/// What it throws comes out of the context's `run`. The log, and what the operation refers to, must
/// outlive the clients.

namespace holdfast::testing {

/// Sessions, each of which calls, waits for its answer, thinks, and calls again: a service that
/// answers late is called less. In virtual time either has to take some, or nothing else happens.
struct closed_loop {
  unsigned sessions = 1;
  duration think{0};    ///< The mean; exponentially distributed. The first call comes after one.
  duration lasting{0};  ///< No call begins later.
  std::uint64_t seed = 1;
};

/// Calls at random, whatever becomes of those before: a Poisson process. Two with one seed call at
/// the same instants: give each its own.
struct open_loop {
  double per_second = 1.0;  ///< From 0.000001 to 1,000,000.
  duration lasting{0};
  std::uint64_t seed = 1;
};

namespace detail {

// Throw `invalid_options`.
void check(const closed_loop& loop);
void check(const open_loop& loop);

inline void rethrow(std::exception_ptr e) {
  if (e) std::rethrow_exception(std::move(e));
}

template <class Operation, class Log>
asio::awaitable<void> run_once(time_service& time, const Operation& operation, Log& log) {
  const auto entry = log.begin(time.precise_now());
  const auto answer = co_await operation();
  log.end(entry, time.precise_now(), answer.has_value());
}

template <class Operation, class Log>
asio::awaitable<void> run_session(time_service& time, Operation operation, closed_loop loop,
                                  std::uint64_t seed, Log& log) {
  dice chance(seed);
  const time_point end = saturating_add(time.precise_now(), loop.lasting);
  for (;;) {
    co_await sleep_for(chance.exponential(loop.think));
    if (time.precise_now() >= end) co_return;
    co_await run_once(time, operation, log);
  }
}

/// Runs `operation`, which returns an awaitable of nothing, at each arrival.
template <class Operation>
asio::awaitable<void> run_arrivals(asio::io_context& context, Operation operation,
                                   open_loop loop) {
  // Shared with what it has started, which may go on after its end.
  const auto shared = std::make_shared<const Operation>(std::move(operation));
  const auto one = [](std::shared_ptr<const Operation> o) -> asio::awaitable<void> {
    co_await (*o)();
  };
  dice chance(loop.seed, 2);
  const auto mean = duration(static_cast<duration::rep>(1e9 / loop.per_second));
  time_point next = time_service::of(context).precise_now();
  const time_point end = saturating_add(next, loop.lasting);
  for (;;) {
    next += chance.exponential(mean);
    if (next >= end) co_return;
    co_await sleep_until(next);
    asio::co_spawn(context, one(shared), &rethrow);
  }
}

}  // namespace detail

/// Starts the sessions; they run as the context runs. Throws `invalid_options`.
template <class Operation, class Log>
void start(asio::io_context& context, const closed_loop& loop, const Operation& operation,
           Log& log) {
  detail::check(loop);
  auto& time = time_service::of(context);
  dice seeds(loop.seed, 3);
  for (unsigned i = 0; i < loop.sessions; ++i) {
    asio::co_spawn(context, detail::run_session(time, operation, loop, seeds.raw(), log),
                   &detail::rethrow);
  }
}

/// Starts the arrivals. Throws `invalid_options`.
template <class Operation, class Log>
void start(asio::io_context& context, const open_loop& loop, const Operation& operation,
           Log& log) {
  detail::check(loop);
  const auto run = [&time = time_service::of(context), &log, operation] {
    return detail::run_once(time, operation, log);
  };
  asio::co_spawn(context, detail::run_arrivals(context, run, loop), &detail::rethrow);
}

}  // namespace holdfast::testing

#endif
