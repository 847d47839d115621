// SPDX-License-Identifier: BSL-1.0
// Hedged operations in virtual time.
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <catch2/catch_all.hpp>
#include <optional>
#include <stdexcept>
#include <string>

#include "../support/stage.hpp"

using namespace std::chrono_literals;
using test::stage;
namespace asio = boost::asio;
namespace hf = holdfast;
using hf::errc;

namespace {

/// Each attempt lasts as long as its entry says; the last one repeats. Negative: fails after that.
struct scripted {
  std::vector<hf::duration> lasts;
  int* started;
  int* cancelled = nullptr;

  asio::awaitable<int> operator()(hf::call_context& ctx) const {
    const auto number = static_cast<std::size_t>((*started)++);
    const hf::duration d = lasts[std::min(number, lasts.size() - 1)];
    try {
      co_await hf::sleep_for(d < 0s ? -d : d, ctx.token());
    } catch (const boost::system::system_error&) {
      if (cancelled) ++*cancelled;
      throw;
    }
    if (d < 0s) throw std::runtime_error("down");
    co_return static_cast<int>(number) + 1;
  }
};

}  // namespace

TEST_CASE("a call that answers in time is made once", "[hedge]") {
  stage s;
  int started = 0;
  const hf::hedge hedge({.delay = 100ms});
  const auto pipe = hf::pipeline().with(hedge);
  s.play([&]() -> asio::awaitable<void> {
    const auto r = co_await pipe(scripted{{50ms}, &started});
    REQUIRE(r.has_value());
  });
  CHECK(started == 1);
  CHECK(s.elapsed() == 50ms);
  CHECK(hedge.snapshot().operations == 1);
  CHECK(hedge.snapshot().hedges == 0);
}

TEST_CASE("a slow call is overtaken, and the one that lost is cancelled", "[hedge]") {
  const bool nested = GENERATE(false, true);
  stage s;
  int started = 0;
  int cancelled = 0;
  const hf::hedge hedge({.delay = 100ms});
  const hf::bulkhead bulkhead;
  std::optional<hf::result<int>> r;
  hf::ledger ledger;
  s.play([&]() -> asio::awaitable<void> {
    const scripted call{{10s, 20ms}, &started, &cancelled};
    const hf::call_options options{.ledger = &ledger};
    if (nested) {
      const auto pipe = hf::pipeline().with(bulkhead).with(hedge);
      r.emplace(co_await pipe(call, options));
    } else {
      const auto pipe = hf::pipeline().with(hedge);
      r.emplace(co_await pipe(call, options));
    }
  });
  REQUIRE(r->has_value());
  CHECK(r->value() == 2);
  CHECK(s.elapsed() == 120ms);
  CHECK(started == 2);
  CHECK(cancelled == 1);
  CHECK(bulkhead.in_use() == 0);
  CHECK(hedge.snapshot().hedges == 1);
  CHECK(hedge.snapshot().hedges_won == 1);
  REQUIRE(ledger.entries().size() == 2);  // the loser too
  CHECK(ledger.entries()[0].outcome == hf::verdict::success);
  CHECK(ledger.entries()[1].outcome == hf::verdict::neutral);
}

TEST_CASE("the first attempt may still win", "[hedge]") {
  stage s;
  int started = 0;
  const hf::hedge hedge({.delay = 100ms});
  const auto pipe = hf::pipeline().with(hedge);
  s.play([&]() -> asio::awaitable<void> {
    const auto r = co_await pipe(scripted{{150ms, 10s}, &started});
    CHECK(r.value() == 1);
  });
  CHECK(s.elapsed() == 150ms);
  CHECK(hedge.snapshot().hedges_won == 0);
}

TEST_CASE("several hedges start one delay apart; with no delay, together", "[hedge]") {
  const hf::duration delay = GENERATE(hf::duration(100ms), hf::duration(0));
  stage s;
  int started = 0;
  const auto pipe = hf::pipeline().with(hf::hedge({.delay = delay, .max_hedges = 3}));
  s.play([&]() -> asio::awaitable<void> {
    const auto r = co_await pipe(scripted{{10s, 10s, 10s, 10ms}, &started});
    CHECK(r.value() == 4);
  });
  CHECK(started == 4);
  CHECK(s.elapsed() == 3 * delay + 10ms);
}

TEST_CASE("bug 43: a failed attempt is followed by the next at once", "[hedge][conformance]") {
  stage s;
  int started = 0;
  const auto pipe = hf::pipeline().with(hf::hedge({.delay = 1h}));
  s.play([&]() -> asio::awaitable<void> {
    const auto r = co_await pipe(scripted{{-10ms, 20ms}, &started});
    CHECK(r.value() == 2);
  });
  CHECK(s.elapsed() == 30ms);
}

TEST_CASE("where nobody answers the operation ends with the first failure", "[hedge]") {
  stage s;
  int started = 0;
  const auto pipe = hf::pipeline().with(hf::hedge({.delay = 1h, .max_hedges = 2}));
  s.play([&]() -> asio::awaitable<void> {
    const auto r = co_await pipe(scripted{{-10ms}, &started});
    REQUIRE(r.has_error());
    CHECK(r.error().attempts() == 3);
    CHECK_THROWS_AS(r.value(), std::runtime_error);
  });
  CHECK(started == 3);
  CHECK(s.elapsed() == 30ms);
}

TEST_CASE("bug 42: a timeout below the hedge ends its own attempt only", "[hedge][conformance]") {
  stage s;
  int started = 0;
  const auto pipe =
      hf::pipeline().with(hf::timeout{100ms}).with(hf::hedge({.delay = 1h, .max_hedges = 2}));
  s.play([&]() -> asio::awaitable<void> {
    const auto r = co_await pipe(scripted{{10s, 10s, 50ms}, &started});
    CHECK(r.value() == 3);
  });
  CHECK(s.elapsed() == 250ms);
}

TEST_CASE("a timeout around the hedge ends all attempts, with its own code", "[hedge]") {
  const bool nested = GENERATE(false, true);
  const bool total = GENERATE(false, true);
  stage s;
  int started = 0;
  int cancelled = 0;
  std::optional<hf::result<int>> r;
  const hf::hedge hedge({.delay = 100ms});
  const hf::circuit_breaker breaker({.consecutive_failures = 100, .failure_rate = 1.0});
  const scripted call{{10s}, &started, &cancelled};
  s.play([&]() -> asio::awaitable<void> {
    const hf::call_options options{.deadline = total ? s.time.now() + 1s : hf::never};
    const hf::duration limit = total ? 5s : 1s;
    if (nested) {
      const auto pipe = hf::pipeline().with(breaker).with(hedge).with(hf::timeout{limit});
      r.emplace(co_await pipe(call, options));
    } else {
      const auto pipe = hf::pipeline().with(hedge).with(hf::timeout{limit});
      r.emplace(co_await pipe(call, options));
    }
  });
  CHECK(s.elapsed() == 1s);
  REQUIRE(r->has_error());
  CHECK(r->error().code() == (total ? errc::total_timeout : errc::attempt_timeout));
  CHECK(r->error().attempts() == 2);
  CHECK(cancelled == 2);
  // The service did not answer either of the attempts.
  if (nested) CHECK(breaker.snapshot(s.time.now()).bad_in_window == 2);
}

TEST_CASE("a call that is not idempotent is not hedged, unless told", "[hedge]") {
  const bool told = GENERATE(false, true);
  stage s;
  int started = 0;
  const auto pipe =
      hf::pipeline().with(hf::hedge({.delay = 100ms, .hedge_non_idempotent = told}));
  s.play([&]() -> asio::awaitable<void> {
    const auto r = co_await pipe(scripted{{1s, 10ms}, &started}, {.idempotent = false});
    CHECK(r.value() == (told ? 2 : 1));
  });
  CHECK(started == (told ? 2 : 1));
}

TEST_CASE("the caller's cancellation ends every attempt, and starts none", "[hedge]") {
  const bool own_strand = GENERATE(false, true);
  asio::io_context context{own_strand ? BOOST_ASIO_CONCURRENCY_HINT_DEFAULT : 1};
  hf::testing::virtual_time time{context, 1};
  int started = 0;
  int cancelled = 0;
  const auto pipe = hf::pipeline().with(hf::hedge({.delay = 100ms, .max_hedges = 4}));
  asio::cancellation_signal stop;
  std::optional<hf::result<int>> r;
  const auto scene = [&]() -> asio::awaitable<void> {
    co_await asio::this_coro::throw_if_cancelled(false);
    r.emplace(co_await pipe(scripted{{10s}, &started, &cancelled}));
  };
  asio::co_spawn(context, scene,
                 asio::bind_cancellation_slot(stop.slot(), [](std::exception_ptr) {}));
  time.run_for(250ms);
  CHECK(started == 3);
  stop.emit(asio::cancellation_type::terminal);
  time.run();
  REQUIRE(r);
  REQUIRE(r->has_error());
  CHECK(r->error().code() == errc::cancelled);
  CHECK(started == 3);
  CHECK(cancelled == 3);
}

TEST_CASE("an exception before the first suspension is a failed attempt", "[hedge]") {
  stage s;
  int calls = 0;
  const auto throws = [&]() -> asio::awaitable<int> {
    if (++calls < 3) throw std::runtime_error("not even started");
    return [](int n) -> asio::awaitable<int> { co_return n; }(calls);
  };
  const auto pipe = hf::pipeline().with(hf::hedge({.delay = 1h, .max_hedges = 2}));
  s.play([&]() -> asio::awaitable<void> {
    const auto r = co_await pipe(throws);
    CHECK(r.value() == 3);
  });
}

TEST_CASE("retries around a hedge repeat the whole race", "[hedge]") {
  stage s;
  int started = 0;
  const auto pipe = hf::pipeline()
                        .with(hf::hedge({.delay = 1h}))
                        .with(hf::retry{.wait = {.base = 1s, .jitter = hf::jitter::none}});
  s.play([&]() -> asio::awaitable<void> {
    const auto r = co_await pipe(scripted{{-1ms, -1ms, 1ms}, &started});
    CHECK(r.value() == 3);
  });
  CHECK(s.elapsed() == 1s + 3ms);
}

TEST_CASE("the percentile follows the service, and hedges stay few", "[hedge]") {
  stage s;
  const hf::hedge hedge({.delay = 1s, .percentile = 0.9, .window = 60s, .minimum_samples = 20});
  const auto pipe = hf::pipeline().with(hedge);
  int calls = 0;
  // One attempt in twenty takes forty times as long.
  const auto call = [&](hf::call_context& ctx) -> asio::awaitable<int> {
    co_await hf::sleep_for(++calls % 20 == 0 ? 4s : 100ms, ctx.token());
    co_return 1;
  };
  hf::duration worst{};
  s.play([&]() -> asio::awaitable<void> {
    for (int i = 0; i < 1000; ++i) {
      const auto began = s.time.now();
      const auto r = co_await pipe(call);
      REQUIRE(r.has_value());
      if (i >= 100) worst = std::max(worst, s.time.now() - began);
    }
  });
  const auto seen = hedge.snapshot(s.time.now());
  CHECK(seen.delay <= 120ms);
  CHECK(worst <= 400ms);        // 4 s without a hedge
  CHECK(seen.hedges >= 30);
  CHECK(seen.hedges <= 100);    // a tenth
}

TEST_CASE("describe shows what is below the hedge", "[hedge]") {
  const auto text = hf::pipeline()
                        .with(hf::timeout{1s})
                        .with(hf::hedge({.name = "twice", .delay = 100ms}))
                        .with(hf::timeout{5s})
                        .describe();
  CHECK_THAT(text, Catch::Matchers::Matches("timeout: 5s.*\nhedge 'twice': 1 more after 100ms\n"
                                            "timeout: 1s.*\nsafe utilisation: 50 %\n"));
}

TEST_CASE("a detaching timeout and a hedge exclude each other", "[hedge]") {
  const hf::timeout detaching{.after = 1s, .mode = hf::timeout_mode::detach};
  CHECK_THROWS_AS(hf::pipeline().with(hf::hedge()).with(detaching), hf::invalid_options);
  CHECK_THROWS_AS(hf::pipeline().with(detaching).with(hf::hedge()), hf::invalid_options);
  // And a timeout that is longer than one around the hedge is found across it.
  CHECK_THROWS_AS(hf::pipeline().with(hf::timeout{5s}).with(hf::hedge()).with(hf::timeout{1s}),
                  hf::invalid_options);
}

TEST_CASE("a classifier set after the hedge judges below it too", "[hedge]") {
  stage s;
  int calls = 0;
  const auto call = [&]() -> asio::awaitable<int> { co_return ++calls; };
  const auto pipe =
      hf::pipeline().with(hf::hedge({.delay = 1h, .max_hedges = 2})).classify([](const int& n) {
        return n < 3 ? hf::verdict::failure : hf::verdict::success;
      });
  s.play([&]() -> asio::awaitable<void> {
    const auto r = co_await pipe(call);
    CHECK(r.value() == 3);
  });
}

TEST_CASE("a hedge takes its attempts out of the budget, and does without when it is spent",
          "[hedge]") {
  stage s;
  int started = 0;
  const hf::retry_budget budget({.ratio = 0.0, .ttl = 10s, .min_per_second = 0.1});  // one
  const hf::hedge hedge({.delay = 100ms, .max_hedges = 2, .budget = budget});
  const auto pipe = hf::pipeline().with(hedge);
  s.play([&]() -> asio::awaitable<void> {
    auto r = co_await pipe(scripted{{10s, 10ms}, &started});
    CHECK(r.value() == 2);
    started = 0;
    r = co_await pipe(scripted{{3s}, &started});
    CHECK(r.value() == 1);  // alone
    started = 0;
    r = co_await pipe(scripted{{-1s}, &started});
    CHECK(r.has_error());
    CHECK(started == 1);
  });
  CHECK(hedge.snapshot().hedges == 1);
  CHECK(hedge.snapshot().suppressed == 2);
  CHECK(s.elapsed() == 110ms + 4s);
}

TEST_CASE("bug 44: retries and hedges that share a budget never overdraw it, and pay once",
          "[hedge][conformance]") {
  const bool retry_inside = GENERATE(false, true);
  stage s;
  int started = 0;
  const hf::retry_budget budget({.ratio = 0.5, .ttl = 100s, .min_per_second = 0.0});
  const hf::retry retry{
      .max_attempts = 5, .wait = {.base = 1ms, .jitter = hf::jitter::none}, .budget = budget};
  const hf::hedge hedge({.delay = 1h, .max_hedges = 4, .budget = budget});
  constexpr int calls = 40;
  const auto many = [&](const auto& pipe) -> asio::awaitable<void> {
    for (int i = 0; i < calls; ++i) {
      const auto r = co_await pipe(scripted{{-1ms}, &started});
      CHECK(r.has_error());
    }
  };
  s.play([&]() -> asio::awaitable<void> {
    if (retry_inside) {
      const auto pipe = hf::pipeline().with(retry).with(hedge);
      co_await many(pipe);
    } else {
      const auto pipe = hf::pipeline().with(hedge).with(retry);
      co_await many(pipe);
    }
  });
  CHECK(started <= calls + calls / 2);
  CHECK(started >= calls + calls / 2 - 3);  // the budget errs on the safe side
}
