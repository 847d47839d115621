// SPDX-License-Identifier: BSL-1.0
// What docs/threads.md shows.
#include "scenario.hpp"

#include <atomic>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/version.hpp>
#if BOOST_VERSION >= 108600
#include <boost/asio/cancel_after.hpp>
#endif
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <tuple>

// Real threads and real time: a few milliseconds.
TEST_CASE("threads: a thread pool needs no strand of the user's", "[threads]") {
  std::atomic<int> answers{0};
  // [pool]
  asio::thread_pool pool{4};
  hf::circuit_breaker breaker{{.name = "gpt-4"}};  // used by all threads at once
  hf::bulkhead bulkhead{{.name = "gpt-4", .limit = 8, .queue = 1000}};
  auto guard = hf::pipeline().with(hf::timeout{10s}).with(breaker).with(bulkhead);

  auto ask = []() -> asio::awaitable<int> {
    co_await hf::sleep_for(1ms);
    co_return 1;
  };
  auto client = [&]() -> asio::awaitable<void> {
    hf::result<int> answer = co_await guard(ask);
    if (answer) ++answers;
  };
  for (int i = 0; i < 100; ++i) asio::co_spawn(pool, client, asio::detached);
  pool.join();
  CHECK(answers == 100);
  // [/pool]
  CHECK(bulkhead.in_use() == 0);
}

// Real time as well: the context has its own clock.
TEST_CASE("threads: the user's word that a context is serial") {
  // [serial]
  asio::io_context hinted{1};  // known to be run by one thread (from Boost 1.87 on)

  asio::io_context ctx;    // nothing is known of this one:
  hf::assume_serial(ctx);  // our word that one thread runs it
  // [/serial]
#if BOOST_VERSION >= 108700  // earlier ones do not tell the hint
  CHECK(hf::time_service::of(hinted).serial());
#endif
  CHECK(hf::time_service::of(ctx).serial());
  asio::io_context unknown;
  CHECK_FALSE(hf::time_service::of(unknown).serial());
}

TEST_CASE("threads: who keeps what alive") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    // [lifetime]
    auto make_guard = [] {
      hf::circuit_breaker breaker{{.name = "gpt-4"}};  // a handle
      return hf::pipeline().with(breaker);             // which the pipeline shares
    };
    auto guard = make_guard();

    auto ask = [question = std::string("Why?")](hf::call_context&) -> asio::awaitable<std::string> {
      co_return question + " Because.";
    };
    auto operation = guard(ask);  // has its own copy of `ask`; needs `guard` until it ends
    hf::result<std::string> answer = co_await std::move(operation);
    // [/lifetime]
    CHECK(answer.value() == "Why? Because.");
  });
}

TEST_CASE("threads: nested pipelines share one deadline and one cancellation") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    const hf::time_point start = time.now();
    // [nested]
    auto search = hf::pipeline().with(hf::timeout{10s});
    auto tool = [](hf::call_context& ctx) -> asio::awaitable<std::string> {
      CHECK(ctx.remaining() == 2s);  // the agent's, which is nearer
      co_await hf::sleep_for(1min, ctx.token());
      co_return "found";
    };

    auto agent = [&](hf::call_context& ctx) -> asio::awaitable<std::string> {
      hf::result<std::string> found = co_await search(tool, ctx);  // ctx is its parent
      co_return found ? found.value() : "nothing found in time";
    };
    hf::result<std::string> answer = co_await hf::pipeline().with(hf::timeout{2s})(agent);
    CHECK(answer.value() == "nothing found in time");
    CHECK(time.now() - start == 2s);
    // [/nested]
  });
}

TEST_CASE("threads: an opaque awaitable that may have to be cancelled has a chain of its own") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    const auto state_of = []() -> asio::awaitable<bool> {
      const auto state = co_await asio::this_coro::cancellation_state;
      co_return state.slot().is_connected();
    };
    // Nothing can cancel the chain of this coroutine, but a timeout can cancel the runner's.
    const hf::result<bool> plain = co_await hf::pipeline()(state_of);
    CHECK_FALSE(plain.value());
    const hf::result<bool> timed = co_await hf::pipeline().with(hf::timeout{1s})(state_of);
    CHECK(timed.value());
  });
}

TEST_CASE("threads: a completion-token function") {
  asio::io_context ctx{1};  // real time: Asio's own timer
  std::optional<boost::system::error_code> code;
  auto scenario = [&]() -> asio::awaitable<void> {
    // [token]
    asio::steady_timer timer(co_await asio::this_coro::executor, 1h);
    auto wait = [&](auto token) { return timer.async_wait(token); };
    hf::result<void> done = co_await hf::pipeline().with(hf::timeout{5ms})(wait);
    // [/token]
    code = done.error().code();
  };
  asio::co_spawn(ctx, scenario, asio::detached);
  ctx.run();
  REQUIRE(code);
  CHECK(*code == hf::errc::attempt_timeout);
}

TEST_CASE("threads: a chain is an Asio operation") {
  asio::io_context ctx{1};
  hf::testing::virtual_time time{ctx};
  // [completion]
  auto ask = []() -> asio::awaitable<int> { co_return 42; };
  auto chain = hf::resilient(ask).with(hf::timeout{1s});

  int seen = 0;
  chain(asio::bind_executor(ctx, [&](hf::result<int> r) { seen = r.value(); }));

  std::future<hf::result<int>> later = chain(asio::bind_executor(ctx, asio::use_future));
  // [/completion]
  time.run();
  CHECK(seen == 42);
  CHECK(later.get().value() == 42);
}

TEST_CASE("threads: an executor for tokens that have none") {
  asio::io_context ctx{1};
  hf::testing::virtual_time time{ctx};
  hf::bulkhead database({.limit = 4});
  const auto chain = hf::resilient([]() -> asio::awaitable<int> { co_return 42; });
  // [on]
  std::future<hf::result<int>> answer = chain.on(ctx)(asio::use_future);
  std::future<void> slept = hf::sleep_for(ctx, 10ms, asio::use_future);
  std::future<void> drained = database.drain(ctx, asio::use_future);
  // [/on]
  time.run();
  CHECK(answer.get().value() == 42);
  slept.get();
  drained.get();
}

#if BOOST_VERSION >= 108600  // earlier ones have no cancel_after
TEST_CASE("threads: Asio's own timeout on a pool needs a strand for its timer", "[threads]") {
  std::atomic<int> answers{0};
  asio::thread_pool pool{4};
  auto f = []() -> asio::awaitable<int> {
    co_await asio::post(asio::deferred);
    co_return 1;
  };
  auto client = [&]() -> asio::awaitable<void> {
    // [asio_timeout]
    auto strand = asio::make_strand(co_await asio::this_coro::executor);
    int answer = co_await asio::co_spawn(
        strand, f(), asio::cancel_after(1s, asio::bind_executor(strand, asio::deferred)));
    // [/asio_timeout]
    answers += answer;
  };
  for (int i = 0; i < 100; ++i) asio::co_spawn(pool, client, asio::detached);
  pool.join();
  CHECK(answers == 100);
}
#endif
