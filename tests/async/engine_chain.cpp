// SPDX-License-Identifier: BSL-1.0
// A chain as an Asio operation, cancellation, executors, and real time.
#include <array>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <holdfast/resilient.hpp>
#include <thread>

#include "../support/in_virtual_time.hpp"

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;
using boost::system::error_code;
using virtual_time = hf::testing::virtual_time;

asio::awaitable<int> hangs() {
  co_await hf::sleep_for(1h);
  co_return 1;
}

asio::awaitable<int> quick() {
  co_await hf::sleep_for(1ms);
  co_return 7;
}

auto deaf() { return asio::bind_cancellation_slot(asio::cancellation_slot(), asio::deferred); }

hf::duration took(const auto& function) {
  const auto begun = hf::clock::now();
  function();
  return hf::clock::now() - begun;
}

}  // namespace

TEST_CASE("chain: awaited as a temporary, as an lvalue, and through run()") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    auto temporary = co_await hf::resilient(quick).with(hf::timeout{1s}).fallback(2);
    CHECK(temporary.value() == 7);
    const auto chain = hf::resilient(hangs).with(hf::timeout{1s}).fallback(2);
    // Asio awaits operations only as temporaries: an lvalue takes `deferred`, `run()` or a copy.
    auto second = co_await chain(asio::deferred);
    CHECK(second.value() == 2);
    auto third = co_await chain.run();
    CHECK(third.value() == 2);
    auto copy = chain;
    auto fourth = co_await std::move(copy);
    CHECK(fourth.value() == 2);
  });
}

TEST_CASE("chain: with a callback and with a future") {
  asio::io_context ctx{1};
  std::optional<hf::result<int>> got;
  hf::resilient(quick).with(hf::timeout{1s})(asio::bind_executor(
      ctx, [&got](hf::result<int> r) { got.emplace(std::move(r)); }));
  auto future = hf::resilient(quick).with(hf::timeout{1s})(
      asio::bind_executor(ctx, asio::use_future));
  CHECK(!got);
  ctx.run();
  REQUIRE(got);
  CHECK(got->value() == 7);
  REQUIRE(future.wait_for(0s) == std::future_status::ready);
  CHECK(future.get().value() == 7);
}

TEST_CASE("pipeline: a temporary lives on in its operation") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    auto operation = hf::pipeline()
                         .with(hf::timeout{1s})
                         .with(hf::circuit_breaker{{.name = "its own"}})
                         .fallback(2)(quick);
    auto r = co_await std::move(operation);
    CHECK(r.value() == 7);
  });
}

TEST_CASE("cancellation: a caller that lets only terminal through is not ended by total") {
  for (const bool listens : {false, true}) {
    asio::io_context ctx{1};
    virtual_time time{ctx};
    asio::cancellation_signal signal;
    std::optional<hf::result<int>> got;
    const auto p = hf::pipeline().with(hf::timeout{10ms}).fallback(3);
    const auto caller = [&]() -> asio::awaitable<void> {
      if (listens) {
        co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
      }
      got.emplace(co_await p(hangs));
    };
    asio::co_spawn(ctx, caller(),
                   asio::bind_cancellation_slot(signal.slot(), [](const std::exception_ptr&) {}));
    time.run_for(5ms);
    signal.emit(asio::cancellation_type::total);
    time.run();
    REQUIRE(got);
    if (listens) {
      REQUIRE(got->has_error());
      CHECK(got->error().code() == hf::errc::cancelled);
      CHECK(got->error().code() == hf::condition::cancelled);
    } else {
      CHECK(got->value() == 3);
    }
  }
}

TEST_CASE("cancellation: a call may reset the state of its caller's chain") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    const auto p = hf::pipeline().with(hf::timeout{5ms}).with(
        hf::retry{.max_attempts = 2, .wait = {.base = 1ms, .cap = 1ms}});
    const auto resets = [](hf::call_context& ctx) -> asio::awaitable<int> {
      co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
      co_await hf::sleep_for(1h, ctx.token());
      co_return 1;
    };
    auto r = co_await p(resets);
    REQUIRE(r.has_error());
    CHECK(r.error().code() == hf::errc::attempt_timeout);
    CHECK(r.error().attempts() == 2);
    const auto resets_own = []() -> asio::awaitable<int> {
      co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
      co_await asio::this_coro::throw_if_cancelled(false);
      co_await hf::sleep_for(7ms);
      co_return 1;
    };
    auto late = co_await p(resets_own);
    CHECK(late.has_value());
    // What it has left behind does not reach the next call.
    auto next = co_await p(hangs);
    REQUIRE(next.has_error());
    CHECK(next.error().code() == hf::errc::attempt_timeout);
  });
}

TEST_CASE("executors: a caller on a strand is resumed on it") {
  asio::io_context ctx{1};
  virtual_time time{ctx};
  const auto strand = asio::make_strand(ctx);
  int checked = 0;
  const auto caller = [&]() -> asio::awaitable<void> {
    const auto p = hf::pipeline().with(hf::timeout{5ms}).fallback(2);
    const auto inside = [&]() -> asio::awaitable<int> {
      CHECK(strand.running_in_this_thread());
      co_await hf::sleep_for(1h);
      co_return 1;
    };
    auto r = co_await p(inside);
    CHECK(strand.running_in_this_thread());
    CHECK(r.value() == 2);
    ++checked;
  };
  asio::co_spawn(strand, caller(), [](const std::exception_ptr& e) {
    if (e) std::rethrow_exception(e);
  });
  time.run();
  CHECK(checked == 1);
}

TEST_CASE("executors: assume_serial") {
  asio::io_context ctx;
  hf::assume_serial(ctx);
  CHECK(hf::time_service::of(ctx).serial());
  bool ended = false;
  const auto caller = [&]() -> asio::awaitable<void> {
    const auto p = hf::pipeline().with(hf::timeout{3ms}).fallback(2);
    auto r = co_await p(hangs);
    CHECK(r.value() == 2);
    ended = true;
  };
  asio::co_spawn(ctx, caller(), [](const std::exception_ptr& e) {
    if (e) std::rethrow_exception(e);
  });
  ctx.run();
  CHECK(ended);
}

TEST_CASE("executors: one of another kind (system_executor; real time)") {
  auto first = asio::co_spawn(
      asio::system_executor(),
      []() -> asio::awaitable<int> {
        auto r = co_await hf::pipeline().with(hf::timeout{3ms}).fallback(2)(hangs);
        auto q = co_await hf::pipeline().with(hf::timeout{20s}).fallback(2)(quick);
        co_return r.value() * 10 + q.value();
      },
      asio::use_future);
  REQUIRE(first.wait_for(20s) == std::future_status::ready);
  CHECK(first.get() == 27);
}

TEST_CASE("run() returns when nothing but idle timers and parked chains is left (real time)") {
  asio::io_context ctx{1};
  const auto caller = [&]() -> asio::awaitable<void> {
    // An opaque call under a timeout leaves a parked chain and, after it, an idle alarm clock.
    const auto p = hf::pipeline().with(hf::timeout{1min});
    auto r = co_await p(quick);
    CHECK(r.value() == 7);
  };
  for (int round = 0; round < 2; ++round) {
    bool ended = false;
    asio::co_spawn(ctx, caller(), [&](const std::exception_ptr&) { ended = true; });
    const auto time = took([&] { ctx.run(); });
    CHECK(ended);
    CHECK(time < 10s);
    ctx.restart();
  }
}

TEST_CASE("run() does not return while an operation waits (real time)") {
  asio::io_context ctx{1};
  bool first = false, second = false, third = false;
  const auto backs_off = [&]() -> asio::awaitable<void> {
    int made = 0;
    const auto fails_once = [&made]() -> asio::awaitable<hf::result<int>> {
      if (++made < 2) co_return hf::failure(hf::errc::exception);
      co_return 1;
    };
    const auto p = hf::pipeline().with(hf::retry{
        .max_attempts = 2,
        .wait = {.base = 10ms, .cap = 10ms, .jitter = hf::jitter::none}});
    auto r = co_await p(fails_once);
    first = r.has_value();
  };
  asio::co_spawn(ctx, backs_off(), [](const std::exception_ptr&) {});
  ctx.run();
  CHECK(first);
  ctx.restart();
  hf::resilient(quick).with(hf::timeout{1min})(
      asio::bind_executor(ctx, [&](hf::result<int> r) { second = r.has_value(); }));
  ctx.run();
  CHECK(second);
  ctx.restart();
  hf::sleep_for(10ms, asio::bind_executor(ctx, [&](error_code ec) { third = !ec; }));
  ctx.run();
  CHECK(third);
}

TEST_CASE("run() returns when the call was left by a detaching timeout and has ended (real time)") {
  asio::io_context ctx{1};
  bool late = false;
  const auto p =
      hf::pipeline().with(hf::timeout{.after = 3ms, .mode = hf::timeout_mode::detach});
  const auto deaf_call = [&late]() -> asio::awaitable<int> {
    co_await hf::sleep_for(30ms, deaf());
    late = true;
    co_return 1;
  };
  const auto caller = [&]() -> asio::awaitable<void> {
    auto r = co_await p(deaf_call);
    CHECK(r.error().code() == hf::errc::attempt_timeout);
    CHECK(!late);
  };
  asio::co_spawn(ctx, caller(), [](const std::exception_ptr&) {});
  ctx.run();
  CHECK(late);
}

TEST_CASE("breaker: who waits as long as the circuit is open is let through (real time)") {
  asio::io_context ctx{1};
  int served = 0;
  const auto scene = [&]() -> asio::awaitable<void> {
    hf::circuit_breaker breaker{{.consecutive_failures = 1, .open_for = 20ms}};
    const auto guard = hf::pipeline().with(breaker);
    const auto fails = []() -> asio::awaitable<int> { throw std::runtime_error("down"); co_return 0; };
    const auto works = []() -> asio::awaitable<int> { co_return 1; };
    for (int i = 0; i < 10; ++i) {
      breaker.reset();
      auto r = co_await guard(fails);
      co_await hf::sleep_for(20ms);
      r = co_await guard(works);
      if (r.has_value()) ++served;
    }
  };
  asio::co_spawn(ctx, scene, asio::detached);
  ctx.run();
  CHECK(served == 10);
}

TEST_CASE("sleep_for: sleeps, never shorter, and is cancelled by every type (real time)") {
  asio::io_context ctx{1};
  const auto sleeps = [&]() -> asio::awaitable<void> {
    for (const hf::duration d : {hf::duration(0), hf::duration(1), hf::duration(2ms)}) {
      const auto begun = hf::clock::now();
      co_await hf::sleep_for(d);
      CHECK(hf::clock::now() - begun >= d);
    }
    co_await hf::sleep_until(hf::clock::now() - 1h);
  };
  bool ended = false;
  asio::co_spawn(ctx, sleeps(), [&](const std::exception_ptr& e) { ended = !e; });
  ctx.run();
  CHECK(ended);
  for (const auto type : {asio::cancellation_type::terminal, asio::cancellation_type::partial,
                          asio::cancellation_type::total}) {
    ctx.restart();
    asio::cancellation_signal signal;
    std::optional<error_code> got;
    hf::sleep_for(1h, asio::bind_cancellation_slot(
                          signal.slot(),
                          asio::bind_executor(ctx, [&](error_code ec) { got = ec; })));
    asio::post(ctx, [&signal, type] { signal.emit(type); });
    ctx.run();
    REQUIRE(got);
    CHECK(*got == asio::error::operation_aborted);
  }
}
