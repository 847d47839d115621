// SPDX-License-Identifier: BSL-1.0
// Real threads: operations of several threads share one breaker that does everything it can, while
// it is watched, reconfigured and switched by hand.
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>
#include <random>
#include <stdexcept>
#include <thread>

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

std::uint64_t chance() {
  thread_local std::mt19937_64 engine{std::random_device{}()};
  return engine();
}

hf::circuit_breaker_options options(bool other) {
  return {
      .name = "shared",
      .consecutive_failures = other ? 3u : 4u,
      .failure_rate = 0.5,
      .slow_rate = 0.8,
      .slow_after = other ? 300us : 200us,
      .opens_if = [](const hf::breaker_window& w) { return w.failed * 5 > w.calls * 4; },
      .window = other ? 50ms : 1s,
      .minimum_calls = 10,
      .open_for = 100us,
      .open_growth = 1.5,
      .max_open_for = 1ms,
      .open_jitter = 0.3,
      .half_open_probes = 3,
      .successes_to_close = 2,
      .probe_timeout = 2ms,
      .probe_lease = 3ms,
      .recovery = hf::recovery_ramp{.steps = {{.share = 0.3, .minimum_calls = 3, .at_least = 0s},
                                              {.share = 0.7, .minimum_calls = 5, .at_least = 50us},
                                              {.share = 1.0, .minimum_calls = 5, .at_least = 0s}}}};
}

asio::awaitable<int> call() {
  for (auto yields = chance() % 4; yields > 0; --yields) {
    co_await asio::post(co_await asio::this_coro::executor, asio::deferred);
  }
  if (chance() % 2 == 0) throw std::runtime_error("down");
  co_return 1;
}

}  // namespace

TEST_CASE("threads: one breaker with everything on, shared and changed under load", "[threads]") {
  hf::circuit_breaker breaker(options(false));
  const auto pipe =
      hf::pipeline().with(breaker).with(hf::retry{.max_attempts = 2, .wait = {.base = 1us}});
  std::atomic<std::uint64_t> events{0};
  std::atomic<std::uint64_t> trips{0};
  std::atomic<bool> broken_chain{false};
  hf::breaker_state last = hf::breaker_state::closed;
  std::uint64_t generation = 0;
  auto watching = breaker.on_transition([&](const hf::breaker_transition& t) {
    // One at a time, in order; resets of a closed circuit are counted and not told.
    if (t.from != last || t.generation <= generation) broken_chain = true;
    last = t.to;
    generation = t.generation;
    ++events;
    trips += t.from == hf::breaker_state::closed && t.to == hf::breaker_state::open;
  });
  constexpr int sessions = 16;
  std::atomic<bool> done{false};
  std::atomic<int> ended{0};
  std::atomic<int> good{0};
  std::atomic<int> refused{0};
  {
    asio::thread_pool pool(4);
    const auto session = [&]() -> asio::awaitable<void> {
      while (!done) {
        const auto r = co_await pipe(call);
        co_await asio::post(co_await asio::this_coro::executor, asio::deferred);
        good += r.has_value();
        refused += r.has_error() && r.error().code() == hf::errc::circuit_open;
      }
    };
    for (int i = 0; i < sessions; ++i) {
      asio::co_spawn(pool, session, [&](std::exception_ptr e) { ended += !e; });
    }
    for (int i = 0; i < 320; ++i) {
      breaker.reconfigure(options(i % 2));
      (void)breaker.snapshot();
      switch (i % 16) {
        case 3: breaker.isolate(); break;
        case 4: breaker.reset(); break;
        case 8: breaker.observe(); break;
        case 9: breaker.reset(); break;
        case 12: breaker.disable(); break;
        case 13: breaker.reset(); break;
        default: std::this_thread::sleep_for(200us); break;
      }
    }
    done = true;
    pool.join();
  }
  breaker.reset();  // delivers whatever is left
  CHECK(ended == sessions);
  CHECK(good > 0);
  CHECK(refused > 0);
  CHECK(events >= 120);  // the six by hand of each round, and those of the circuit itself
  CHECK(trips > 0);
  CHECK_FALSE(broken_chain);
  const auto s = breaker.snapshot();
  CHECK(s.probes_in_flight == 0);
  CHECK(s.hanging == 0);
  CHECK(s.listener_errors == 0);
}

TEST_CASE("threads: a rate is judged exactly though it is counted in stripes", "[threads]") {
  // Bad calls of several threads at once: of those that together reach the limit, one must see it.
  constexpr int rounds = 3000;
  int opened = 0;
  for (int round = 0; round < rounds; ++round) {
    hf::circuit_breaker breaker(
        {.consecutive_failures = 0, .failure_rate = 1.0, .minimum_calls = 4});
    auto& b = *breaker.core();
    const hf::time_point now(1h);
    std::atomic<int> ready{0};
    const auto fail_twice = [&] {
      ++ready;
      for (int spins = 0; ready < 2; ++spins) {
        if (spins > 1000) std::this_thread::yield();
      }
      for (int i = 0; i < 2; ++i) {
        hf::detail::breaker_permit permit;
        if (b.try_enter(permit, now)) b.leave(permit, hf::verdict::failure, now);
      }
    };
    {
      const std::jthread other(fail_twice);
      fail_twice();
    }
    opened += breaker.state() == hf::breaker_state::open;
  }
  CHECK(opened == rounds);
}
