// SPDX-License-Identifier: BSL-1.0
// Real threads: operations that are started, and cancelled, from outside of the context that runs
// them.
#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_future.hpp>
#include <catch2/catch_all.hpp>
#include <future>
#include <holdfast/resilient.hpp>
#include <optional>
#include <thread>

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;
using cancellation = asio::cancellation_type;

/// A context that one thread of its own runs, with timed calls that come and go all the while.
class busy_context {
 public:
  busy_context() : work_(ctx.get_executor()) {
    for (int i = 0; i < 4; ++i) asio::co_spawn(ctx, client(), [](const std::exception_ptr&) {});
    thread_ = std::jthread([this] { ctx.run(); });
  }
  ~busy_context() {
    stop_ = true;
    work_.reset();
  }

  asio::io_context ctx{1};

 private:
  asio::awaitable<void> client() {
    const auto guard = hf::pipeline().with(hf::timeout{3ms});
    const auto call = [](hf::call_context& c) -> asio::awaitable<void> {
      co_await hf::sleep_for(500us, c.token());
    };
    while (!stop_) {
      const auto r = co_await guard(call);
      static_cast<void>(r);
    }
  }

  std::atomic<bool> stop_{false};
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::jthread thread_;
};

asio::awaitable<int> hangs() {
  co_await hf::sleep_for(1h);
  co_return 1;
}

asio::awaitable<int> quick() {
  co_await hf::sleep_for(100us);
  co_return 7;
}

}  // namespace

TEST_CASE("threads: drain and sleep_for are started from outside (real time)", "[threads]") {
  busy_context busy;
  for (int i = 0; i < 200; ++i) {
    hf::bulkhead b({.limit = 1});
    REQUIRE(b.core()->try_acquire());
    auto bound = b.drain(asio::bind_executor(busy.ctx, asio::use_future));
    auto named = b.drain(busy.ctx, asio::use_future);
    auto slept = hf::sleep_for(busy.ctx, 200us, asio::use_future);
    const auto strand = asio::make_strand(busy.ctx);
    auto until = hf::sleep_until(hf::clock::now() + 100us,
                                 asio::bind_executor(strand, asio::use_future));
    b.core()->release();
    bound.get();
    named.get();
    slept.get();
    until.get();
  }
}

TEST_CASE("threads: chains are started from outside (real time)", "[threads]") {
  busy_context busy;
  const auto chain = hf::resilient(quick).with(hf::timeout{1s});
  for (int i = 0; i < 200; ++i) {
    auto bound = chain(asio::bind_executor(busy.ctx, asio::use_future));
    auto named = chain.on(busy.ctx)(asio::use_future);
    CHECK(bound.get().value() == 7);
    CHECK(named.get().value() == 7);
  }
}

TEST_CASE("threads: what was started from outside is cancelled from outside (real time)",
          "[threads]") {
  busy_context busy;
  for (int i = 0; i < 200; ++i) {
    const auto type = i % 2 == 0 ? cancellation::total : cancellation::partial;
    asio::cancellation_signal chains, sleeps, drains;
    const auto with = [&](asio::cancellation_signal& signal) {
      return asio::bind_cancellation_slot(
          signal.slot(), asio::bind_executor(busy.ctx, asio::as_tuple(asio::use_future)));
    };
    hf::bulkhead b({.limit = 1});
    REQUIRE(b.core()->try_acquire());
    auto result = hf::resilient(hangs).with(hf::timeout{2h})(with(chains));
    auto slept = hf::sleep_for(1h, with(sleeps));
    auto drained = b.drain(with(drains));
    // Before the first step, about then, and after.
    if (i % 3 != 0) std::this_thread::sleep_for(std::chrono::microseconds(i));
    chains.emit(type);
    sleeps.emit(type);
    drains.emit(type);
    CHECK(std::get<0>(result.get()).error().code() == hf::errc::cancelled);
    CHECK(std::get<0>(slept.get()) == asio::error::operation_aborted);
    CHECK(std::get<0>(drained.get()) == asio::error::operation_aborted);
    b.core()->release();
  }
}
