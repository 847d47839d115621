// SPDX-License-Identifier: BSL-1.0
// Bugs that other libraries shipped, F: what Asio and coroutines add.
#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/version.hpp>
#include <catch2/catch_all.hpp>
#include <random>

#include "../support/asio_version.hpp"
#include "../support/stage.hpp"

#if BOOST_VERSION >= 108600  // earlier ones have no cancel_after
#include <boost/asio/cancel_after.hpp>
#endif

using namespace std::chrono_literals;
using namespace test;
using hf::errc;

namespace {

auto opaque(hf::duration d) {
  return [d]() -> asio::awaitable<int> {
    co_await hf::sleep_for(d);
    co_return 1;
  };
}

auto lasting(hf::duration d) {
  return [d](hf::call_context& ctx) -> asio::awaitable<int> {
    co_await hf::sleep_for(d, ctx.token());
    co_return 1;
  };
}

/// Counts the calls that are running.
struct living {
  explicit living(std::atomic<int>& c) : count(c) { ++count; }
  living(const living&) = delete;
  ~living() { --count; }
  std::atomic<int>& count;
};

}  // namespace

TEST_CASE(
    "bug 41: timeouts, waiters and cancellations on several threads, with and without strands",
    "[conformance][threads]") {
  // Real threads and real time; everything lasts a few milliseconds, and most of it is cut short.
  const bool strands = GENERATE(false, true);
  constexpr int sessions = 60;
  constexpr int each = 20;
  hf::bulkhead bulkhead({.limit = 20, .queue = 1000, .max_queue_time = 3ms});
  hf::circuit_breaker breaker({.consecutive_failures = 1'000'000'000});
  std::atomic<int> ended{0};
  std::atomic<int> unexpected{0};
  std::atomic<int> cancelled{0};
  std::atomic<int> alive{0};
  const auto pipe = hf::pipeline()
                        .with(hf::timeout{2ms})
                        .with(bulkhead)
                        .with(breaker)
                        .with(hf::retry{.max_attempts = 2, .wait = {.base = 1ms}})
                        .with(hf::timeout{8ms});
  asio::thread_pool pool(4);
  const auto session = [&](unsigned seed) -> asio::awaitable<void> {
    std::mt19937 random(seed);
    for (int i = 0; i < each; ++i) {
      const auto d = std::chrono::microseconds(random() % 4000);
      const auto work = [&]() -> asio::awaitable<int> {
        const living guard(alive);
        co_await hf::sleep_for(d);
        co_return 1;
      };
      const auto with_context = [&](hf::call_context& ctx) -> asio::awaitable<int> {
        const living guard(alive);
        co_await hf::sleep_for(d, ctx.token());
        co_return 1;
      };
      const auto r = i % 2 ? co_await pipe(work) : co_await pipe(with_context);
      // A permit may come so late that no time is left to use it.
      if (r.has_error() && r.error().code() != hf::condition::timed_out &&
          r.error().code() != errc::bulkhead_full &&
          r.error().code() != errc::deadline_too_near) {
        ++(r.error().code() == errc::cancelled ? cancelled : unexpected);
      }
      ++ended;
    }
  };
  std::vector<std::unique_ptr<asio::cancellation_signal>> signals;
  for (unsigned i = 0; i < sessions; ++i) {
    const auto scene = [&session, i] { return session(i); };
    if (!strands) {
      asio::co_spawn(pool, scene, [](std::exception_ptr) {});
      continue;
    }
    // Every third session is cancelled half-way: on its strand, as Asio asks.
    auto strand = asio::make_strand(pool);
    auto& signal = *signals.emplace_back(std::make_unique<asio::cancellation_signal>());
    asio::co_spawn(strand, scene,
                   asio::bind_cancellation_slot(signal.slot(), [](std::exception_ptr) {}));
    if (i % 3 == 0) {
      const auto canceller = [&signal]() -> asio::awaitable<void> {
        co_await hf::sleep_for(20ms);
        signal.emit(asio::cancellation_type::terminal);
      };
      asio::co_spawn(strand, canceller, [](std::exception_ptr) {});
    }
  }
  pool.join();
  CHECK(unexpected == 0);
  if (!strands) CHECK(ended == sessions * each);
  CHECK(alive == 0);
  CHECK(bulkhead.in_use() == 0);
  CHECK(bulkhead.waiting() == 0);
}

TEST_CASE("bug 41: two pipelines at once, joined by Asio's operators", "[conformance][threads]") {
  using namespace asio::experimental::awaitable_operators;
  const bool threads = GENERATE(false, true);  // true: real threads and real time
  const hf::duration unit = threads ? 10ms : 1s;
  const auto pipe = hf::pipeline().with(hf::timeout{unit * 50}).with(hf::retry{});
  std::atomic<int> good{0};
  const auto scene = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < 10; ++i) {
      const auto either = co_await (pipe(opaque(unit)) || pipe(lasting(unit * 40)));
      good += either.index() == 0 && std::get<0>(either).has_value();
      const auto both = co_await (pipe(opaque(unit)) && pipe(lasting(unit)));
      good += std::get<0>(both).has_value() && std::get<1>(both).has_value();
    }
  };
  if (!threads) {
    stage s;
    s.play(scene);
    CHECK(s.elapsed() == 20s);
    CHECK(good == 20);
    return;
  }
  asio::thread_pool pool(4);
  for (int i = 0; i < 8; ++i) {
    asio::co_spawn(asio::make_strand(pool), scene, [](std::exception_ptr) {});
  }
  pool.join();
  CHECK(good == 8 * 20);
}

TEST_CASE("bug 41: an operation under cancel_after, or behind a future, resumes", "[conformance]") {
  SECTION("a future") {
    stage s;
    auto future = hf::resilient(opaque(10s)).with(hf::timeout{1s})(
        asio::bind_executor(s.context.get_executor(), asio::use_future));
    s.time.run();
    REQUIRE(future.wait_for(0s) == std::future_status::ready);
    CHECK(future.get().error().code() == errc::attempt_timeout);
  }
#if BOOST_VERSION >= 108600
  SECTION("cancel_after, in real time") {
    asio::io_context context{1};
    std::optional<hf::errc> code;
    const auto scene = [&]() -> asio::awaitable<void> {
      // A chain has no executor before it is started, so the timer is told.
      asio::steady_timer timer(co_await asio::this_coro::executor);
      const auto r = co_await hf::resilient(opaque(1h)).with(hf::timeout{2h})(
          asio::cancel_after(timer, 2ms, asio::deferred));
      if (r.has_error() && r.error().code() == errc::cancelled) code = errc::cancelled;
    };
    asio::co_spawn(context, scene, [](std::exception_ptr) {});
    context.run();
    CHECK(code == errc::cancelled);
  }
#endif
}

TEST_CASE("bug 41: a cancellation that loses to a success that is ready changes nothing",
          "[conformance]") {
  const bool is_opaque = GENERATE(true, false);
  stage s;
  const auto pipe = hf::pipeline().with(hf::timeout{1min}).with(hf::retry{});
  asio::cancellation_signal stop;
  std::optional<hf::result<int>> result;
  bool ready = false;
  // The call catches the cancellation and has its answer all the same.
  const auto plain = [&]() -> asio::awaitable<int> {
    co_await hf::sleep_for(1s);
    ready = true;
    stop.emit(asio::cancellation_type::terminal);
    co_return 42;
  };
  const auto with_context = [&](hf::call_context& ctx) -> asio::awaitable<int> {
    co_await hf::sleep_for(1s, ctx.token());
    ready = true;
    stop.emit(asio::cancellation_type::terminal);
    co_return 42;
  };
  const auto scene = [&]() -> asio::awaitable<void> {
    co_await asio::this_coro::throw_if_cancelled(false);
    if (is_opaque) {
      result.emplace(co_await pipe(plain));
    } else {
      result.emplace(co_await pipe(with_context));
    }
  };
  asio::co_spawn(s.context, scene,
                 asio::bind_cancellation_slot(stop.slot(), [](std::exception_ptr) {}));
  s.time.run();
  CHECK(ready);
  REQUIRE(result);
  REQUIRE(result->has_value());
  CHECK(result->value() == 42);
}

TEST_CASE("bug 41: a cancellation between the start and the first step is seen", "[conformance]") {
  if (!hears_before_first_step) SKIP("Asio's own coroutine does not hear it");
  const int shape = GENERATE(0, 1, 2);
  stage s;
  int started = 0;
  const auto call = [&]() -> asio::awaitable<int> {
    ++started;
    co_await hf::sleep_for(1h);
    co_return 1;
  };
  const auto bare = hf::pipeline();
  const auto timed = hf::pipeline().with(hf::timeout{2h});
  const auto full = hf::pipeline().with(hf::timeout{2h}).with(hf::retry{}).fallback(7);
  asio::cancellation_signal stop;
  std::optional<hf::errc> code;
  const auto scene = [&]() -> asio::awaitable<void> {
    // Cancelled already when the operation begins.
    co_await asio::this_coro::throw_if_cancelled(false);
    std::optional<hf::result<int>> r;
    if (shape == 0) r.emplace(co_await bare(call));
    if (shape == 1) r.emplace(co_await timed(call));
    if (shape == 2) r.emplace(co_await full(call));
    REQUIRE(r->has_error());
    if (r->error().code() == errc::cancelled) code = errc::cancelled;
  };
  asio::co_spawn(s.context, scene,
                 asio::bind_cancellation_slot(stop.slot(), [](std::exception_ptr) {}));
  stop.emit(asio::cancellation_type::terminal);  // before anything has run
  s.time.run();
  CHECK(started == 0);
  CHECK(s.elapsed() == 0s);
  // Asio itself may end a coroutine that was cancelled before its first step.
  if (code) CHECK(*code == errc::cancelled);
}

TEST_CASE("bug 41: an operation that begins cancelled does not touch the service",
          "[conformance]") {
  const int shape = GENERATE(0, 1, 2);
  stage s;
  int started = 0;
  const auto call = [&]() -> asio::awaitable<int> {
    ++started;
    co_return 1;
  };
  hf::bulkhead bulkhead({.limit = 1});
  hf::circuit_breaker breaker;
  const auto bare = hf::pipeline();
  const auto guarded = hf::pipeline().with(bulkhead).with(breaker);
  const auto full = hf::pipeline().with(hf::timeout{2h}).with(hf::retry{}).fallback(7);
  asio::cancellation_signal stop;
  std::optional<hf::result<int>> result;
  const auto scene = [&]() -> asio::awaitable<void> {
    co_await asio::this_coro::throw_if_cancelled(false);
    co_await asio::post(asio::deferred);
    stop.emit(asio::cancellation_type::terminal);
    if (shape == 0) result.emplace(co_await bare(call));
    if (shape == 1) result.emplace(co_await guarded(call));
    if (shape == 2) result.emplace(co_await full(call));
  };
  asio::co_spawn(s.context, scene,
                 asio::bind_cancellation_slot(stop.slot(), [](std::exception_ptr) {}));
  s.time.run();
  REQUIRE(result);
  REQUIRE(result->has_error());
  CHECK(result->error().code() == errc::cancelled);
  CHECK(started == 0);
  CHECK(bulkhead.in_use() == 0);
}

TEST_CASE("bug 41: what a call throws after its timeout does not escape", "[conformance]") {
  const auto mode = GENERATE(hf::timeout_mode::cooperative, hf::timeout_mode::detach);
  stage s;
  bool thrown = false;
  const auto call = [&]() -> asio::awaitable<int> {
    try {
      co_await hf::sleep_for(10s);
    } catch (const boost::system::system_error&) {
    }
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await hf::sleep_for(5s);
    thrown = true;
    throw std::logic_error("nobody waits for this");
  };
  const auto pipe = hf::pipeline().with(hf::timeout{.after = 1s, .mode = mode}).fallback(7);
  s.play([&]() -> asio::awaitable<void> {
    const auto r = co_await pipe(call);
    CHECK(r.value() == 7);
    co_await hf::sleep_for(1min);
  });
  CHECK(thrown);
}

TEST_CASE("bug 41: a call that ignores its cancellation: waited for, or left, as was asked",
          "[conformance]") {
  const auto deaf = []() -> asio::awaitable<int> {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await hf::sleep_for(30s);
    co_return 1;
  };
  stage s;
  SECTION("cooperative: nothing is left running, and the late answer is passed on") {
    const auto pipe = hf::pipeline().with(hf::timeout{1s});
    s.play([&]() -> asio::awaitable<void> {
      const auto r = co_await pipe(deaf);
      CHECK(r.has_value());
      CHECK(s.elapsed() == 30s);
    });
  }
  SECTION("detach: the caller goes on at once") {
    const auto pipe =
        hf::pipeline().with(hf::timeout{.after = 1s, .mode = hf::timeout_mode::detach});
    s.play([&]() -> asio::awaitable<void> {
      const auto r = co_await pipe(deaf);
      CHECK(r.error().code() == errc::attempt_timeout);
      CHECK(s.elapsed() == 1s);
    });
    CHECK(s.elapsed() == 30s);  // it ended, on its own
  }
}
