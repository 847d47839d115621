// SPDX-License-Identifier: BSL-1.0
// Real threads: several run operations that share one budget, one breaker and one throttle, while
// another changes their options.
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>
#include <random>
#include <thread>

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

std::uint64_t chance() {
  thread_local std::mt19937_64 engine{std::random_device{}()};
  return engine();
}

/// Runs `session` many times over on four threads; returns how many ended with an exception.
template <class Session>
int on_four_threads(int sessions, bool strands, const Session& session) {
  std::atomic<int> failed{0};
  std::atomic<int> ended{0};
  asio::thread_pool pool(4);
  for (int i = 0; i < sessions; ++i) {
    const auto end = [&](const std::exception_ptr& e) {
      if (e) ++failed;
      ++ended;
    };
    if (strands) {
      asio::co_spawn(asio::make_strand(pool), session(), end);
    } else {
      asio::co_spawn(pool, session(), end);
    }
  }
  pool.join();
  CHECK(ended == sessions);
  return failed;
}

}  // namespace

TEST_CASE("threads: one budget for retries and paid links, never overdrawn", "[threads]") {
  const bool strands = GENERATE(false, true);
  const hf::retry_budget budget({.ratio = 0.25, .ttl = 10min, .min_per_second = 0});
  std::atomic<int> calls{0};
  std::atomic<int> paid{0};
  const auto call = [&]() -> asio::awaitable<hf::result<int>> {
    ++calls;
    co_await hf::sleep_for(std::chrono::microseconds(chance() % 200));
    if (chance() % 2) co_return hf::failure(asio::error::connection_reset);
    co_return 1;
  };
  const auto pay = [&] {
    ++paid;
    return 2;
  };
  const hf::retry retry{.max_attempts = 4, .wait = {.base = 50us}, .budget = budget};
  const auto pipe = hf::pipeline()
                        .with(hf::timeout{1s})
                        .with(retry)
                        .fallback(pay, {.budget = budget})
                        .fallback(3);
  std::atomic<int> operations{0};
  const auto session = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < 50; ++i) {
      const auto r = co_await pipe(call);
      operations += r.has_value();
    }
  };
  CHECK(on_four_threads(40, strands, session) == 0);
  CHECK(operations == 2000);
  const auto s = budget.snapshot();
  CHECK(s.calls_in_window == 2000);
  CHECK(s.granted <= 500);
  CHECK(s.granted > 400);
  CHECK(s.granted == static_cast<unsigned>(calls + paid - operations));
  CHECK(s.exhausted > 0);
}

TEST_CASE("threads: budget, throttle and breaker with live changes under load", "[threads]") {
  hf::retry_budget budget({.ttl = 5ms});
  hf::throttle throttle({.window = 5ms, .min_per_second = 0});
  const hf::circuit_breaker breaker(
      {.name = "shared", .consecutive_failures = 6, .open_for = 500us, .half_open_probes = 2});
  const auto call = []() -> asio::awaitable<hf::result<int>> {
    co_await hf::sleep_for(std::chrono::microseconds(chance() % 100));
    if (chance() % 3) co_return hf::failure(asio::error::connection_reset);
    co_return 1;
  };
  const auto pipe = hf::pipeline()
                        .with(throttle)
                        .with(breaker)
                        .with(hf::retry{.max_attempts = 3,
                                        .wait = {.base = 50us},
                                        .budget = budget,
                                        .wait_for_circuit = 5ms})
                        .fallback(3, {.budget = budget});
  std::atomic<int> answers{0};
  const auto session = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < 100; ++i) {
      const auto r = co_await pipe(call);
      answers += r.has_value();
    }
  };
  std::atomic<bool> stop{false};
  std::thread operator_of_it([&] {
    for (int i = 0; !stop; ++i) {
      const bool tokens = i % 4 == 3;
      budget.reconfigure({.mode = tokens ? hf::budget_mode::tokens : hf::budget_mode::ratio,
                          .ratio = 0.1 * (i % 5),
                          .ttl = 1ms * (1 + i % 7),
                          .max_tokens = static_cast<unsigned>(1 + i % 50)});
      throttle.reconfigure({.multiplier = 1.0 + i % 3,
                            .window = 1ms * (1 + i % 7),
                            .min_per_second = 0,
                            .max_rejection = 0.5});
      if (budget.snapshot().tokens > 51 || throttle.snapshot().rejection > 0.5) std::abort();
      std::this_thread::yield();
    }
  });
  CHECK(on_four_threads(30, false, session) == 0);
  stop = true;
  operator_of_it.join();
  CHECK(answers > 0);
  CHECK(throttle.rejected() > 0);
  CHECK(budget.snapshot().granted > 0);
  CHECK(breaker.snapshot(hf::time_point::max()).probes_in_flight == 0);
}
