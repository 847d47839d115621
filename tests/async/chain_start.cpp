// SPDX-License-Identifier: BSL-1.0
// Where an operation that was started with a completion token runs, and how it is cancelled.
#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <holdfast/resilient.hpp>
#include <stdexcept>

#include "../support/in_virtual_time.hpp"

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;
using boost::system::error_code;
using virtual_time = hf::testing::virtual_time;
using cancellation = asio::cancellation_type;

constexpr cancellation types[] = {cancellation::terminal, cancellation::partial,
                                  cancellation::total, cancellation::all};

asio::awaitable<int> hangs() {
  co_await hf::sleep_for(1h);
  co_return 1;
}

asio::awaitable<int> quick() {
  co_await hf::sleep_for(1ms);
  co_return 7;
}

/// Starts `operation`, and gives its result when `context` has been run.
auto started(auto operation, asio::io_context& context, asio::cancellation_signal& signal) {
  auto got = std::make_shared<std::optional<hf::result<int>>>();
  std::move(operation)(asio::bind_cancellation_slot(
      signal.slot(),
      asio::bind_executor(context, [got](hf::result<int> r) { got->emplace(std::move(r)); })));
  return got;
}

}  // namespace

TEST_CASE("chain: cancelled by every type before its context runs") {
  for (const auto type : types) {
    asio::io_context ctx{1};
    virtual_time time{ctx};
    asio::cancellation_signal signal;
    int calls = 0;
    const auto call = [&calls]() -> asio::awaitable<int> {
      ++calls;
      return hangs();
    };
    const auto got = started(hf::resilient(call).with(hf::timeout{2h}).fallback(2), ctx, signal);
    signal.emit(type);
    const auto begun = time.now();
    time.run();
    REQUIRE(*got);
    REQUIRE((*got)->has_error());
    CHECK((*got)->error().code() == hf::errc::cancelled);
    CHECK(calls == 0);
    CHECK(time.now() == begun);
  }
}

TEST_CASE("chain: cancelled by every type after its first step, from its context") {
  for (const auto type : types) {
    for (const bool timed : {false, true}) {
      asio::io_context ctx{1};
      virtual_time time{ctx};
      asio::cancellation_signal signal;
      const auto got =
          timed ? started(hf::resilient(hangs).with(hf::timeout{2h}).fallback(2), ctx, signal)
                : started(hf::resilient(hangs).fallback(2), ctx, signal);
      time.run_for(5ms);
      const auto begun = time.now();
      asio::post(ctx, [&] { signal.emit(type); });
      time.run();
      REQUIRE(*got);
      REQUIRE((*got)->has_error());
      CHECK((*got)->error().code() == hf::errc::cancelled);
      CHECK(time.now() == begun);
    }
  }
}

TEST_CASE("chain: cancelled by a function that its context runs before the first step") {
  asio::io_context ctx{1};
  virtual_time time{ctx};
  asio::cancellation_signal signal;
  asio::post(ctx, [&] { signal.emit(cancellation::total); });
  const auto got = started(hf::resilient(hangs).with(hf::timeout{2h}), ctx, signal);
  time.run();
  REQUIRE(*got);
  REQUIRE((*got)->has_error());
  CHECK((*got)->error().code() == hf::errc::cancelled);
}

TEST_CASE("chain: emission after the end does nothing, also after the context has gone") {
  asio::cancellation_signal signal;
  {
    asio::io_context ctx{1};
    const auto strand = asio::make_strand(ctx);
    std::optional<hf::result<int>> got;
    const auto keeps = [&](hf::result<int> r) { got = std::move(r); };
    hf::resilient(quick).with(hf::timeout{1s})(
        asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(strand, keeps)));
    ctx.run();
    REQUIRE(got);
    CHECK(got->value() == 7);
    signal.emit(cancellation::total);
  }
  signal.emit(cancellation::total);
  {
    asio::io_context ctx{1};
    hf::resilient(quick)(asio::bind_cancellation_slot(
        signal.slot(), asio::bind_executor(asio::make_strand(ctx), [](hf::result<int>) {})));
  }  // never run
  signal.emit(cancellation::total);
}

TEST_CASE("chain: on an executor that is named, a call stays in its context") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    const auto ex = co_await asio::this_coro::executor;
    const auto& io = *ex.target<asio::io_context::executor_type>();
    int inside = 0;
    const auto call = [&]() -> asio::awaitable<int> {
      inside += io.running_in_this_thread();
      co_await hf::sleep_for(1ms);
      inside += io.running_in_this_thread();
      co_return 7;
    };
    const auto chain = hf::resilient(call).with(hf::timeout{1s});
    auto group = asio::experimental::make_parallel_group(chain.on(ex)(asio::deferred),
                                                         chain.on(ex)(asio::deferred));
    auto ended = co_await group.async_wait(asio::experimental::wait_for_all(), asio::deferred);
    CHECK(std::get<1>(ended).value() == 7);
    CHECK(std::get<2>(ended).value() == 7);
    CHECK(inside == 4);
  });
}

TEST_CASE("chain: a parallel group cancels what lost, on the executor that is named") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    const auto ex = co_await asio::this_coro::executor;
    const auto begun = time.now();
    auto group = asio::experimental::make_parallel_group(
        hf::resilient(quick).with(hf::timeout{1s}).on(ex)(asio::deferred),
        hf::resilient(hangs).with(hf::timeout{2h}).on(ex)(asio::deferred));
    auto ended = co_await group.async_wait(asio::experimental::wait_for_one(), asio::deferred);
    CHECK(std::get<1>(ended).value() == 7);
    CHECK(std::get<2>(ended).error().code() == hf::errc::cancelled);
    CHECK(time.now() - begun == 1ms);
  });
}

TEST_CASE("chain: with a future, on a context that is named") {
  asio::io_context ctx{1};
  auto first = hf::resilient(quick).with(hf::timeout{1s}).on(ctx)(asio::use_future);
  const auto chain = hf::resilient(quick);
  auto second = chain.on(ctx.get_executor())(asio::use_future);
  CHECK(first.wait_for(0s) == std::future_status::timeout);
  ctx.run();
  REQUIRE(first.wait_for(0s) == std::future_status::ready);
  CHECK(first.get().value() == 7);
  REQUIRE(second.wait_for(0s) == std::future_status::ready);
  CHECK(second.get().value() == 7);
}

TEST_CASE("chain: the call runs on the named executor, the handler on its own") {
  asio::io_context calls{1}, handlers{1};
  bool called = false, handled = false;
  const auto call = [&]() -> asio::awaitable<int> {
    called = calls.get_executor().running_in_this_thread();
    co_return 7;
  };
  hf::resilient(call).on(calls)(asio::bind_executor(handlers, [&](hf::result<int> r) {
    handled = r.value() == 7 && handlers.get_executor().running_in_this_thread();
  }));
  calls.run();
  CHECK(called);
  CHECK(!handled);
  handlers.run();
  CHECK(handled);
}

TEST_CASE("chain and sleep_for: with any_completion_handler") {
  asio::io_context ctx{1};
  virtual_time time{ctx};
  const auto strand = asio::make_strand(ctx);
  std::optional<hf::result<int>> got;
  std::optional<error_code> slept;
  int on_strand = 0;
  asio::any_completion_handler<void(hf::result<int>)> answer =
      asio::bind_executor(strand, [&](hf::result<int> r) {
        on_strand += strand.running_in_this_thread();
        got = std::move(r);
      });
  asio::any_completion_handler<void(error_code)> wakes =
      asio::bind_executor(asio::any_io_executor(strand), [&](error_code ec) {
        on_strand += strand.running_in_this_thread();
        slept = ec;
      });
  hf::resilient(quick).with(hf::timeout{1s})(std::move(answer));
  hf::sleep_for(5ms, std::move(wakes));
  time.run();
  REQUIRE(got);
  CHECK(got->value() == 7);
  REQUIRE(slept);
  CHECK(!*slept);
  CHECK(on_strand == 2);
}

TEST_CASE("any_completion_handler: without an executor it needs one that is named") {
  asio::io_context ctx{1};
  virtual_time time{ctx};
  int ended = 0;
  const auto answer = [&] {
    return asio::any_completion_handler<void(hf::result<int>)>([&](hf::result<int>) { ++ended; });
  };
  const auto wakes = [&] {
    return asio::any_completion_handler<void(error_code)>([&](error_code) { ++ended; });
  };
  CHECK_THROWS_AS(hf::resilient(quick)(answer()), std::invalid_argument);
  CHECK_THROWS_AS(hf::sleep_for(1ms, wakes()), std::invalid_argument);
  hf::resilient(quick).on(ctx)(answer());
  hf::sleep_for(ctx, 1ms, wakes());
  hf::sleep_until(ctx, time.now(), wakes());
  hf::bulkhead empty({.limit = 1});
  empty.drain(ctx, wakes());
  time.run();
  CHECK(ended == 4);
}

TEST_CASE("sleep_for: with a future, on a context that is named") {
  asio::io_context ctx{1};
  virtual_time time{ctx};
  auto slept = hf::sleep_for(ctx, 10ms, asio::use_future);
  auto until = hf::sleep_until(ctx.get_executor(), time.now() + 20ms, asio::use_future);
  time.run_for(15ms);
  CHECK(slept.wait_for(0s) == std::future_status::ready);
  CHECK(until.wait_for(0s) == std::future_status::timeout);
  time.run();
  CHECK(until.wait_for(0s) == std::future_status::ready);
}

TEST_CASE("sleep_for: started outside, it counts from there, and can be cancelled") {
  for (const auto type : types) {
    asio::io_context ctx{1};
    virtual_time time{ctx};
    asio::cancellation_signal signal;
    std::optional<error_code> first, second;
    hf::sleep_for(1h, asio::bind_cancellation_slot(
                          signal.slot(),
                          asio::bind_executor(ctx, [&](error_code ec) { first = ec; })));
    hf::sleep_for(10ms, asio::bind_executor(ctx, [&](error_code ec) { second = ec; }));
    signal.emit(type);
    CHECK(!first);  // never from within an emission outside of the context
    const auto begun = time.now();
    time.run();
    REQUIRE(first);
    CHECK(*first == asio::error::operation_aborted);
    REQUIRE(second);
    CHECK(time.now() - begun == 10ms);
  }
}

TEST_CASE("sleep_for: started and never run, it goes with its context") {
  const auto alive = std::make_shared<int>();
  {
    asio::io_context ctx{1};
    hf::sleep_for(1h, asio::bind_executor(ctx, [alive](error_code) {}));
    hf::bulkhead b({.limit = 1});
    REQUIRE(b.core()->try_acquire());
    b.drain(asio::bind_executor(ctx, [alive](error_code) {}));
    CHECK(alive.use_count() == 3);
    ctx.poll();
    hf::sleep_for(1h, asio::bind_executor(ctx, [alive](error_code) {}));
    CHECK(alive.use_count() == 4);
    b.core()->release();
  }
  CHECK(alive.use_count() == 1);
}
