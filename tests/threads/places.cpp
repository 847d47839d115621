// SPDX-License-Identifier: BSL-1.0
// Coroutines that leave their executor, timers that are no work of it: on threads, in real time.
#include <atomic>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <catch2/catch_all.hpp>
#include <functional>
#include <holdfast/resilient.hpp>
#include <optional>
#include <thread>
#include <vector>

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

namespace {

void run_by(asio::io_context& context, unsigned threads) {
  std::vector<std::thread> others;
  for (unsigned i = 1; i < threads; ++i) others.emplace_back([&] { context.run(); });
  context.run();
  for (auto& t : others) t.join();
}

/// Clients whose calls go to another pool and end there, with timeouts that strike now and then.
template <class Executor>
void wander(const Executor& home, const std::function<void()>& run) {
  asio::thread_pool elsewhere(2);
  const auto away = [&] { return asio::bind_executor(elsewhere.get_executor(), asio::deferred); };
  const auto guard = hf::pipeline().with(hf::timeout{3ms});
  const auto opaque = [&]() -> asio::awaitable<int> {
    for (int i = 0; i < 6; ++i) {
      asio::steady_timer timer(co_await asio::this_coro::executor, 500us);
      co_await timer.async_wait(asio::deferred);
      co_await asio::post(away());
    }
    co_return 1;
  };
  const auto listens = [&](hf::call_context& ctx) -> asio::awaitable<int> {
    for (int i = 0; i < 6; ++i) {
      co_await hf::sleep_for(500us, ctx.token());
      co_await asio::post(away());
      co_await asio::post(asio::bind_executor(elsewhere.get_executor(), ctx.token()));
    }
    co_return 1;
  };
  std::atomic<int> ended{0};
  std::atomic<int> strayed{0};
  std::atomic<int> strange{0};
  const auto client = [&](int number) -> asio::awaitable<void> {
    for (int i = 0; i < 25; ++i) {
      if (i % 3 == 0) co_await asio::post(away());  // it may be away when it calls, too
      std::optional<hf::result<int>> r;
      if (number % 2 == 0) {
        r.emplace(co_await guard(opaque));
      } else {
        r.emplace(co_await guard(listens));
      }
      ++ended;
      if (!home.running_in_this_thread()) ++strayed;
      if (r->has_error() && r->error().code() != hf::errc::attempt_timeout) ++strange;
    }
  };
  for (int i = 0; i < 16; ++i) asio::co_spawn(home, client(i), asio::detached);
  run();
  elsewhere.join();
  CHECK(ended == 16 * 25);
  CHECK(strayed == 0);
  CHECK(strange == 0);
}

}  // namespace

TEST_CASE("threads: a call may leave its executor, and its caller goes on at home", "[threads]") {
  const unsigned threads = GENERATE(1U, 4U);
  SECTION("the context of one thread") {
    asio::io_context context{1};
    wander(context.get_executor(), [&] { run_by(context, 1); });
  }
  SECTION("a context without a hint") {
    asio::io_context context;
    wander(context.get_executor(), [&] { run_by(context, threads); });
  }
  SECTION("a strand") {
    asio::io_context context;
    wander(asio::make_strand(context), [&] { run_by(context, threads); });
  }
  SECTION("a pool") {
    asio::thread_pool pool(threads);
    wander(pool.get_executor(), [&] { pool.join(); });
  }
}

TEST_CASE("threads: an armed timeout keeps no context running", "[threads]") {
  const auto quick = [](hf::call_context& ctx) -> asio::awaitable<int> {
    co_await asio::post(ctx.token());
    co_return 1;
  };
  const auto opaque = []() -> asio::awaitable<int> {
    co_await asio::post(asio::deferred);
    co_return 1;
  };
  const auto guard = hf::pipeline().with(hf::timeout{1h});
  int ended = 0;
  const auto client = [&]() -> asio::awaitable<void> {
    const auto first = co_await guard(quick);
    const auto second = co_await guard(opaque);
    ended += first.has_value() + second.has_value();
  };
  SECTION("a pool") {
    asio::thread_pool pool(2);
    asio::co_spawn(pool, client, asio::detached);
    pool.join();
  }
  SECTION("an executor that counts as work") {
    asio::io_context context;
    asio::co_spawn(asio::prefer(context.get_executor(), asio::execution::outstanding_work.tracked),
                   client, asio::detached);
    context.run();
  }
  SECTION("a strand of such an executor") {
    asio::io_context context;
    asio::co_spawn(asio::make_strand(asio::any_io_executor(asio::prefer(
                       context.get_executor(), asio::execution::outstanding_work.tracked))),
                   client, asio::detached);
    context.run();
  }
  CHECK(ended == 2);
}

TEST_CASE("threads: pipelines nested on a pool, with timeouts at every level", "[threads]") {
  asio::thread_pool pool(4);
  const auto inner = hf::pipeline()
                         .with(hf::timeout{5ms})
                         .with(hf::retry{.max_attempts = 3, .wait = {.base = 1ms}});
  const auto outer = hf::pipeline().with(hf::timeout{12ms});
  const auto opaque = []() -> asio::awaitable<int> {
    co_await hf::sleep_for(3ms);
    co_return 1;
  };
  const auto hangs = [](hf::call_context& ctx) -> asio::awaitable<int> {
    co_await hf::sleep_for(20ms, ctx.token());
    co_return 1;
  };
  const auto call = [&](hf::call_context& ctx) -> asio::awaitable<int> {
    const auto first = co_await inner(opaque, ctx);
    const auto second = co_await inner(hangs, ctx);
    co_return first.has_value() + second.has_value();
  };
  std::atomic<int> ended{0};
  const auto client = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < 10; ++i) {
      const auto r = co_await outer(call);
      ended += r.has_value() || r.error().code() == hf::condition::timed_out;
    }
  };
  for (int i = 0; i < 20; ++i) asio::co_spawn(pool, client, asio::detached);
  pool.join();
  CHECK(ended == 200);
}

// Waits for other threads to take what was posted to them, for 5 ms of real time.
TEST_CASE("threads: what a function of a chain has posted follows it, also past an exception",
          "[threads]") {
  asio::io_context context;
  std::atomic<int> ran{0};
  std::atomic<int> thrown{0};
  bool at_once = false;
  std::optional<hf::result<int>> result;
  const auto guard = hf::pipeline().with(hf::timeout{1min});
  const auto call = [&]() -> asio::awaitable<int> {
    const auto executor = co_await asio::this_coro::executor;
    bool busy = true;
    for (int i = 0; i < 3; ++i) {
      asio::post(executor, [&, i] {
        if (busy) at_once = true;
        ++ran;
        if (i == 0) throw std::runtime_error("of the user's");
      });
    }
    const auto until = std::chrono::steady_clock::now() + 5ms;
    while (std::chrono::steady_clock::now() < until) std::this_thread::yield();
    busy = false;
    while (ran < 3) co_await asio::post(asio::deferred);
    co_return 7;
  };
  const auto client = [&]() -> asio::awaitable<void> { result.emplace(co_await guard(call)); };
  asio::co_spawn(context, client(), asio::detached);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (;;) {
        try {
          context.run();
          return;
        } catch (const std::runtime_error&) {
          ++thrown;
        }
      }
    });
  }
  for (auto& t : threads) t.join();
  REQUIRE(result);
  CHECK(result->value() == 7);
  CHECK(ran == 3);
  CHECK(thrown == 1);
  CHECK_FALSE(at_once);
}

TEST_CASE("threads: a chain that goes on and on leaves its threads to others", "[threads]") {
  asio::io_context context;
  const auto guard = hf::pipeline().with(hf::timeout{1min});
  const auto call = []() -> asio::awaitable<int> {
    for (int i = 0; i < 20'000; ++i) co_await asio::post(asio::deferred);
    co_return 1;
  };
  const auto ready = []() -> asio::awaitable<int> { co_return 1; };
  const auto client = [&]() -> asio::awaitable<void> {
    auto r = co_await guard(call);
    CHECK(r.value() == 1);
    // One after another on the stack that the last has left.
    for (int i = 0; i < 20'000; ++i) {
      r = co_await guard(ready);
      if (!r.has_value()) FAIL_CHECK("not ready");
    }
  };
  asio::co_spawn(context, client(), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  run_by(context, 4);
}

// In real time, some 50 ms of it: what is tested is a real timer.
TEST_CASE("threads: parked chains that nothing needs are given up", "[threads]") {
  asio::io_context context;
  auto work = asio::make_work_guard(context);
  const auto guard = hf::pipeline().with(hf::timeout{1min});
  std::atomic<int> answered{0};
  const auto call = []() -> asio::awaitable<int> {
    co_await hf::sleep_for(2ms);
    co_return 1;
  };
  const auto client = [&](int calls) -> asio::awaitable<void> {
    for (int i = 0; i < calls; ++i) {
      const auto r = co_await guard(call);
      if (r.has_value()) ++answered;
    }
  };
  hf::time_service::of(context);
  auto& pool = hf::detail::runner_pool<int>::of(context);
  pool.set_period(5ms);

  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { context.run(); });
  const auto wait_until = [](auto ended) {
    const auto end = std::chrono::steady_clock::now() + 30s;
    while (!ended() && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(1ms);
    CHECK(ended());
  };

  for (int i = 0; i < 500; ++i) asio::co_spawn(context, client(1), asio::detached);
  wait_until([&] { return answered == 500; });
  wait_until([&] { return pool.count() == 16; });

  // The same while others come and go, on strands as well.
  answered = 0;
  for (int i = 0; i < 100; ++i) {
    if (i % 2 == 0) {
      asio::co_spawn(context, client(1 + i), asio::detached);
    } else {
      asio::co_spawn(asio::make_strand(context), client(1 + i), asio::detached);
    }
  }
  wait_until([&] { return answered == 5050; });
  wait_until([&] { return pool.count() <= 16; });
  work.reset();
  for (auto& t : threads) t.join();
}
