// SPDX-License-Identifier: BSL-1.0
// A context that is cancelled stays cancelled, takes any number of operations, and says why.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>

#include "../support/in_virtual_time.hpp"

namespace asio = boost::asio;
namespace hf = holdfast;
using hf::testing::virtual_time;
using namespace asio::experimental::awaitable_operators;
using namespace std::chrono_literals;

namespace {

/// A wait that nothing cancels, as Asio's resolver is.
auto deaf(hf::duration d) {
  return hf::sleep_for(d, asio::bind_cancellation_slot(asio::cancellation_slot(), asio::deferred));
}

asio::awaitable<int> listen(hf::call_context& ctx, hf::duration d) {
  co_await hf::sleep_for(d, ctx.token());
  co_return 1;
}

}  // namespace

TEST_CASE("cancellation: a timeout that passes while the call is deaf ends its next operation") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    const auto guard = hf::pipeline().with(hf::timeout{100ms});
    const auto between = [](hf::call_context& ctx) -> asio::awaitable<int> {
      co_await hf::sleep_for(1ms, ctx.token());
      co_await deaf(299ms);
      co_await hf::sleep_for(1h, ctx.token());
      co_return 1;
    };
    const auto first = [](hf::call_context& ctx) -> asio::awaitable<int> {
      co_await deaf(300ms);
      CHECK(ctx.cancelled());
      co_await hf::sleep_for(1h, ctx.token());
      co_return 1;
    };
    auto begun = time.now();
    auto r = co_await guard(between);
    REQUIRE(r.has_error());
    CHECK(r.error().code() == hf::errc::attempt_timeout);
    CHECK(time.now() - begun == 300ms);
    begun = time.now();
    r = co_await guard(first);
    REQUIRE(r.has_error());
    CHECK(r.error().code() == hf::errc::attempt_timeout);
    CHECK(time.now() - begun == 300ms);
  });
}

TEST_CASE("cancellation: a retry waits its whole delay after an attempt that timed out") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    const auto guard = hf::pipeline()
                           .with(hf::timeout{1s})
                           .with(hf::retry{.max_attempts = 2,
                                           .wait = {.base = 3s, .jitter = hf::jitter::none}});
    const auto hangs = [](hf::call_context& ctx) -> asio::awaitable<int> {
      co_return co_await listen(ctx, 1h);
    };
    const auto begun = time.now();
    const auto r = co_await guard(hangs);
    CHECK(r.has_error());
    CHECK(time.now() - begun == 5s);
  });
}

TEST_CASE("cancellation: operations under way together hear the context and their own handler") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    const auto guard = hf::pipeline().with(hf::timeout{1s});
    const auto races = [](hf::call_context& ctx) -> asio::awaitable<int> {
      const auto won = co_await (listen(ctx, 10ms) || listen(ctx, 500ms));
      CHECK(won.index() == 0);
      CHECK_FALSE(ctx.cancelled());
      co_await (listen(ctx, 10ms) && listen(ctx, 20ms));
      co_return 1;
    };
    auto begun = time.now();
    auto r = co_await guard(races);
    CHECK(r.has_value());
    CHECK(time.now() - begun == 30ms);
    const auto both_hang = [](hf::call_context& ctx) -> asio::awaitable<int> {
      co_await (listen(ctx, 5h) && listen(ctx, 6h));
      co_return 1;
    };
    begun = time.now();
    r = co_await guard(both_hang);
    REQUIRE(r.has_error());
    CHECK(r.error().code() == hf::errc::attempt_timeout);
    CHECK(time.now() - begun == 1s);
    // Opaque, and so cancelled as a chain, at the second look at the latest.
    const auto opaque = []() -> asio::awaitable<int> {
      const auto wait = [](hf::duration d) -> asio::awaitable<void> { co_await hf::sleep_for(d); };
      co_await (wait(5h) && wait(6h));
      co_return 1;
    };
    begun = time.now();
    r = co_await guard(opaque);
    REQUIRE(r.has_error());
    CHECK(time.now() - begun <= 1s + 2ms);
  });
}

TEST_CASE("cancellation: a parallel group of waits with one token completes at home") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    const auto guard = hf::pipeline().with(hf::timeout{1s});
    const auto in_group = [](hf::call_context& ctx, hf::duration d) -> asio::awaitable<int> {
      auto group = asio::experimental::make_parallel_group(hf::sleep_for(d, ctx.token()),
                                                           asio::post(ctx.token()));
      const auto ended = co_await std::move(group).async_wait(asio::experimental::wait_for_all(),
                                                              asio::deferred);
      if (std::get<1>(ended)) throw boost::system::system_error(std::get<1>(ended));
      co_return 1;
    };
    const auto begun = time.now();
    auto r = co_await guard([&](hf::call_context& ctx) { return in_group(ctx, 10ms); });
    CHECK(r.has_value());
    CHECK(time.now() - begun == 10ms);
    r = co_await guard([&](hf::call_context& ctx) { return in_group(ctx, 1h); });
    REQUIRE(r.has_error());
    CHECK(r.error().code() == hf::errc::attempt_timeout);
    CHECK(time.now() - begun == 1010ms);
  });
}

TEST_CASE("cancellation: a parent's deadline is a deadline to the operation nested in its call") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    const bool own_chain = GENERATE(false, true);
    hf::circuit_breaker breaker({.name = "b", .consecutive_failures = 1, .open_for = 1h});
    const auto inner = hf::pipeline().with(breaker);
    const auto outer = hf::pipeline().with(
        own_chain ? hf::timeout{.after = 2s, .mode = hf::timeout_mode::detach, .grace = 1h}
                  : hf::timeout{2s});
    const auto hangs = [](hf::call_context& ctx) -> asio::awaitable<int> {
      co_return co_await listen(ctx, 1h);
    };
    boost::system::error_code seen;
    const auto call = [&](hf::call_context& ctx) -> asio::awaitable<int> {
      const auto r = co_await inner(hangs, ctx);
      if (r.has_error()) seen = r.error().code();
      co_return 1;
    };
    const auto r = co_await outer(call);
    CHECK(r.has_value());
    CHECK(seen == hf::errc::attempt_timeout);
    CHECK(breaker.state() == hf::breaker_state::open);
  });
}

TEST_CASE("cancellation: a detaching timeout leaves a link, and at the caller's deadline too") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    const auto fails = []() -> asio::awaitable<hf::result<int>> {
      co_return hf::failure(make_error_code(boost::system::errc::broken_pipe));
    };
    const auto hangs = []() -> asio::awaitable<int> {
      co_await deaf(60s);
      co_return 1;
    };
    const hf::timeout leaves{.after = 2s, .mode = hf::timeout_mode::detach};
    auto begun = time.now();
    const auto guard = hf::pipeline().fallback(hangs).with(leaves);
    auto r = co_await guard(fails);
    CHECK(r.has_error());
    CHECK(time.now() - begun == 2s);
    begun = time.now();
    const auto plain = hf::pipeline().with(leaves);
    r = co_await plain(hangs, {.deadline = begun + 500ms});
    CHECK(r.has_error());
    CHECK(time.now() - begun == 500ms);
  });
}

TEST_CASE("cancellation: an opaque call that resets its state does not bring the operation back") {
  asio::io_context context{1};
  virtual_time time{context, 1};
  const auto guard = hf::pipeline()
                         .with(hf::timeout{1h})
                         .with(hf::retry{.max_attempts = 3, .wait = {.base = 0s}})
                         .fallback(7);
  int calls = 0;
  const auto cleans_up = [&]() -> asio::awaitable<hf::result<int>> {
    ++calls;
    try {
      co_await hf::sleep_for(1min);
    } catch (const boost::system::system_error&) {
    }
    co_await asio::this_coro::reset_cancellation_state();
    co_return hf::failure(make_error_code(boost::system::errc::broken_pipe));
  };
  asio::cancellation_signal stop;
  std::optional<hf::result<int>> ended;
  const auto client = [&]() -> asio::awaitable<void> { ended.emplace(co_await guard(cleans_up)); };
  asio::co_spawn(context, client, asio::bind_cancellation_slot(stop.slot(), asio::detached));
  time.run_for(1s);
  stop.emit(asio::cancellation_type::terminal);
  time.run();
  REQUIRE(ended);
  CHECK(ended->has_error());
  CHECK(calls == 1);
}

TEST_CASE("cancellation: a context hears its caller through what the call awaits with it") {
  enum listener { nested, with_token, without };
  const listener listens = GENERATE(nested, with_token, without);
  asio::io_context context{1};
  virtual_time time{context, 1};
  const auto guard = hf::pipeline();
  const auto inner = hf::pipeline().with(hf::timeout{2h});
  bool over = false;
  boost::system::error_code next;
  const auto call = [&](hf::call_context& ctx) -> asio::awaitable<int> {
    co_await asio::this_coro::throw_if_cancelled(false);
    const auto wait = [](hf::call_context& c) { return listen(c, 1h); };
    if (listens == without) {
      co_await deaf(1h);
    } else if (listens == nested) {
      const auto r = co_await inner(wait, ctx);
      CHECK(r.error().code() == hf::errc::cancelled);
    } else {
      const auto [error] = co_await hf::sleep_for(1h, asio::as_tuple(ctx.token()));
      CHECK(error == asio::error::operation_aborted);
    }
    over = ctx.cancelled();
    const auto [error] = co_await hf::sleep_for(1h, asio::as_tuple(ctx.token()));
    next = error;
    co_await asio::this_coro::throw_if_cancelled(true);
    co_return 1;
  };
  asio::cancellation_signal stop;
  const auto client = [&]() -> asio::awaitable<void> { static_cast<void>(co_await guard(call)); };
  asio::co_spawn(context, client, asio::bind_cancellation_slot(stop.slot(), asio::detached));
  const auto begun = time.now();
  time.run_for(1s);
  stop.emit(asio::cancellation_type::terminal);
  time.run();
  CHECK(over == (listens != without));  // the context learns of it from the next wait
  CHECK(next == asio::error::operation_aborted);
  CHECK(time.now() - begun == (listens == without ? 1h : 1s));
}

TEST_CASE("cancellation: a call that has asked whether it is over is told of it, with any token") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    const auto call = [](hf::call_context& ctx) -> asio::awaitable<int> {
      co_await deaf(300ms);
      CHECK(ctx.cancelled());
      const auto [error] = co_await hf::sleep_for(1h, asio::as_tuple(ctx.token()));
      CHECK(error == asio::error::operation_aborted);
      co_return 1;
    };
    const auto begun = time.now();
    static_cast<void>(co_await hf::pipeline().with(hf::timeout{100ms})(call));
    CHECK(time.now() - begun == 300ms);
  });
}

TEST_CASE("cancellation: the loser of a race within the call does not cancel the context") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    const auto inner = hf::pipeline();
    const auto call = [&](hf::call_context& ctx) -> asio::awaitable<int> {
      co_await (listen(ctx, 1s) || listen(ctx, 1h));
      CHECK_FALSE(ctx.cancelled());
      const auto wait = [](hf::duration d) {
        return [d](hf::call_context& c) { return listen(c, d); };
      };
      co_await (inner(wait(1s), ctx) || inner(wait(1h), ctx));
      CHECK_FALSE(ctx.cancelled());
      co_await hf::sleep_for(1s, ctx.token());
      co_return 1;
    };
    const auto begun = time.now();
    const auto r = co_await hf::pipeline()(call);
    CHECK(r.has_value());
    CHECK(time.now() - begun == 3s);
  });
}
