// SPDX-License-Identifier: BSL-1.0
// What one attempt leaves behind for the next, and for those who look at the whole operation.
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/strand.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>
#include <memory>
#include <string>

#include "../support/in_virtual_time.hpp"

namespace asio = boost::asio;
namespace hf = holdfast;
using hf::testing::virtual_time;
using namespace std::chrono_literals;

namespace {

constexpr hf::backoff no_wait{.base = 0s, .jitter = hf::jitter::none};

boost::system::error_code broken() { return make_error_code(boost::system::errc::broken_pipe); }

}  // namespace

TEST_CASE("attempts: the context's slot hears the timeout on a chain of its own as well") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    // Detaching forces a chain of its own; its grace shows whether the call ended when cancelled.
    const auto guard = hf::pipeline().with(
        hf::timeout{.after = 2s, .mode = hf::timeout_mode::detach, .grace = 1h});
    const auto call = [](hf::call_context& ctx) -> asio::awaitable<int> {
      co_await hf::sleep_for(2h, asio::bind_cancellation_slot(ctx.slot(), asio::deferred));
      co_return 1;
    };
    const auto begun = time.now();
    const auto r = co_await guard(call);
    CHECK(time.now() - begun == 2s);
    REQUIRE(r.has_error());
    CHECK(r.error().code() == hf::errc::attempt_timeout);
  });
}

TEST_CASE("attempts: a success after a failure stands in the ledger without an error") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    const auto guard = hf::pipeline().with(hf::retry{.max_attempts = 2, .wait = no_wait});
    const auto call = [](const hf::call_context& ctx) -> asio::awaitable<hf::result<std::string>> {
      if (ctx.attempt() == 1) co_return hf::failure(broken());
      co_return std::string("an answer that is longer than any small string");
    };
    hf::ledger ledger;
    const auto r = co_await guard(call, {.ledger = &ledger});
    REQUIRE(r.has_value());
    REQUIRE(ledger.entries().size() == 2);
    CHECK(ledger.entries()[0].code == broken());
    CHECK_FALSE(ledger.entries()[1].code.failed());
  });
}

TEST_CASE("attempts: an attempt after a probe of the same operation counts by itself") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    hf::circuit_breaker breaker({.name = "b", .consecutive_failures = 1, .open_for = 1s});
    const auto fail = []() -> asio::awaitable<hf::result<int>> { co_return hf::failure(broken()); };
    const auto opened = co_await hf::pipeline().with(breaker)(fail);
    CHECK(opened.has_error());
    co_await hf::sleep_for(1s);
    // The first attempt is a probe that says nothing; before the second the circuit is closed by
    // hand. The second fails, and must open it again.
    const auto classify = [](const hf::failure& f) {
      return f.code() == boost::system::errc::interrupted ? hf::verdict::throttled
                                                          : hf::verdict::failure;
    };
    const auto guard = hf::pipeline()
                           .with(breaker)
                           .with(hf::retry{.max_attempts = 2, .wait = no_wait})
                           .classify(classify);
    const auto call = [&](const hf::call_context& ctx) -> asio::awaitable<hf::result<int>> {
      if (ctx.attempt() == 2) co_return hf::failure(broken());
      breaker.reset(time.now());
      co_return hf::failure(make_error_code(boost::system::errc::interrupted));
    };
    const auto r = co_await guard(call);
    CHECK(r.has_error());
    CHECK(breaker.state() == hf::breaker_state::open);
  });
}

TEST_CASE("attempts: a call that asks whether it was cancelled ends with the timeout's code") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    const auto guard = hf::pipeline().with(hf::timeout{2s});
    const auto call = [](hf::call_context& ctx) -> asio::awaitable<int> {
      while (!ctx.cancelled()) co_await hf::sleep_for(1s);
      throw boost::system::system_error(asio::error::operation_aborted);
    };
    const auto r = co_await guard(call);
    REQUIRE(r.has_error());
    CHECK(r.error().code() == hf::errc::attempt_timeout);
  });
}

TEST_CASE("attempts: a nested operation writes a ledger of its own") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    hf::ledger ledger;
    const auto inner = []() -> asio::awaitable<int> { co_return 1; };
    const auto outer = [&](hf::call_context& ctx) -> asio::awaitable<int> {
      const auto first = co_await hf::pipeline()(inner, {.ledger = &ledger, .parent = &ctx});
      const auto r = co_await hf::pipeline()(inner, {.ledger = &ledger, .parent = &ctx});
      co_return first.value() + r.value();
    };
    const auto r = co_await hf::pipeline()(outer);
    CHECK(r.value() == 2);
    CHECK(ledger.entries().size() == 1);
    CHECK(ledger.answered());
  });
}

TEST_CASE("attempts: an outer breaker counts the failure that a refused retry leaves standing") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    hf::circuit_breaker inner({.name = "inner", .consecutive_failures = 1, .open_for = 1h});
    hf::circuit_breaker outer({.name = "outer", .consecutive_failures = 1, .open_for = 1h});
    const auto guard = hf::pipeline()
                           .with(inner)
                           .with(hf::retry{.max_attempts = 3, .wait = no_wait})
                           .with(outer);
    const auto call = []() -> asio::awaitable<hf::result<int>> { co_return hf::failure(broken()); };
    const auto r = co_await guard(call);
    REQUIRE(r.has_error());
    CHECK(r.error().code() == broken());
    CHECK(outer.state() == hf::breaker_state::open);
  });
}

TEST_CASE("attempts: calls under way are waited for when as many are left behind as may be") {
  asio::io_context ctx{1};
  virtual_time time{ctx, 1};
  const auto guard = hf::pipeline().with(
      hf::timeout{.after = 1s, .mode = hf::timeout_mode::detach, .max_detached = 1});
  unsigned running = 0;
  const auto deaf = [&running]() -> asio::awaitable<int> {
    ++running;
    // Nothing cancels a sleep whose token has no slot.
    co_await hf::sleep_for(
        1min, asio::bind_cancellation_slot(asio::cancellation_slot(), asio::deferred));
    --running;
    co_return 1;
  };
  unsigned ended = 0;
  for (int i = 0; i < 3; ++i) {
    asio::co_spawn(
        ctx,
        [&]() -> asio::awaitable<void> {
          const auto r = co_await guard(deaf);
          CHECK((r.has_value() || r.error().code() == hf::errc::attempt_timeout));
          ++ended;
        },
        [](const std::exception_ptr& e) { CHECK(!e); });
  }
  time.run_for(2s);
  CHECK(ended == 1);
  CHECK(running == 3);
  time.run();
  CHECK(ended == 3);
  CHECK(running == 0);
}

TEST_CASE("attempts: a call that cancels its caller while it is made leaves nothing behind") {
  for (const bool on_strand : {false, true}) {
    asio::io_context ctx{1};
    virtual_time time{ctx, 1};
    asio::cancellation_signal caller;
    const auto guard = hf::pipeline().with(hf::timeout{1s});
    auto alive = std::make_shared<int>(1);
    const std::weak_ptr<int> watch = alive;
    const auto quiet = []() -> asio::awaitable<int> { co_return 1; };
    auto call = [&caller, quiet, alive] {
      caller.emit(asio::cancellation_type::terminal);
      return quiet();
    };
    alive.reset();
    bool ended = false;
    auto body = [&]() -> asio::awaitable<void> {
      auto own = std::move(call);
      const auto r = co_await guard(std::move(own));
      REQUIRE(r.has_error());
      CHECK(r.error().code() == hf::errc::cancelled);
      ended = true;
    };
    const asio::any_io_executor executor =
        on_strand ? asio::any_io_executor(asio::make_strand(ctx)) : ctx.get_executor();
    asio::co_spawn(executor, body,
                   asio::bind_cancellation_slot(caller.slot(), [](const std::exception_ptr&) {}));
    time.run();
    CHECK(ended);
    CHECK(watch.expired());
    CHECK(ctx.stopped());
  }
}
