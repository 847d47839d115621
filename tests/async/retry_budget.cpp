// SPDX-License-Identifier: BSL-1.0
// The budget in pipelines, and retries that wait for an open circuit, in virtual time.
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <stdexcept>
#include <tuple>
#include <vector>

#include "../support/stage.hpp"

namespace {

using test::asio::awaitable;
using test::expect_answer;
using test::expect_error;
using test::expect_value;
using test::stage;
namespace asio = test::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::jitter;

constexpr hf::backoff every_second{.kind = hf::backoff_kind::constant, .base = 1s,
                                   .jitter = jitter::none};

auto fails = []() -> awaitable<hf::result<int>> {
  co_return hf::failure(asio::error::connection_reset);
};
auto works = []() -> awaitable<int> { co_return 1; };

hf::retry_budget two_retries() {
  return hf::retry_budget({.name = "two", .ratio = 0, .ttl = 10s, .min_per_second = 0.2});
}

}  // namespace

TEST_CASE("a spent budget ends an operation with its last real failure, at once", "[budget]") {
  stage s;
  const auto budget = two_retries();
  const auto pipe =
      hf::pipeline().with(hf::retry{.max_attempts = 10, .wait = every_second, .budget = budget});
  hf::ledger ledger;
  s.play([&]() -> awaitable<void> {
    const auto r = co_await pipe(fails, {.ledger = &ledger});
    REQUIRE(r.has_error());
    CHECK(r.error().code() == asio::error::connection_reset);
    CHECK(r.error().attempts() == 3);
    CHECK(r.error().policy() == hf::policy_kind::none);
  });
  CHECK(s.elapsed() == 2s);
  REQUIRE(ledger.entries().size() == 4);
  const auto& last = ledger.entries().back();
  CHECK(last.attempt == 0);
  CHECK(last.code == hf::errc::budget_exhausted);
  CHECK(last.refused_by == hf::policy_kind::retry_budget);
  CHECK(last.policy_name.view() == "two");
  CHECK(ledger.attempts() == 3);
  CHECK(budget.snapshot(s.time.now()).exhausted == 1);
  CHECK(budget.snapshot(s.time.now()).granted == 2);
}

TEST_CASE("only what is decided is taken", "[budget]") {
  stage s;
  const auto budget = two_retries();
  const auto granted = [&] { return budget.snapshot(s.time.now()).granted; };
  SECTION("no attempts left") {
    const auto pipe = hf::pipeline().with(hf::retry{.max_attempts = 1, .budget = budget});
    s.play([&]() -> awaitable<void> { co_await expect_error(pipe(fails)); });
  }
  SECTION("no time left") {
    const auto pipe = hf::pipeline()
                          .with(hf::retry{.wait = every_second, .budget = budget})
                          .with(hf::timeout{500ms});
    s.play([&]() -> awaitable<void> { co_await expect_error(pipe(fails)); });
  }
  SECTION("max_elapsed") {
    const auto pipe = hf::pipeline().with(
        hf::retry{.max_elapsed = 500ms, .wait = every_second, .budget = budget});
    s.play([&]() -> awaitable<void> { co_await expect_error(pipe(fails)); });
  }
  SECTION("a hint that is too long") {
    const auto asks = []() -> awaitable<hf::result<int>> {
      hf::failure f(asio::error::try_again);
      co_return f.with_retry_after(1h);
    };
    const auto pipe = hf::pipeline().with(hf::retry{.budget = budget});
    s.play([&]() -> awaitable<void> { co_await expect_error(pipe(asks)); });
  }
  SECTION("not idempotent") {
    const auto pipe = hf::pipeline().with(hf::retry{.budget = budget});
    s.play([&]() -> awaitable<void> {
      co_await expect_error(pipe(fails, {.idempotent = false}));
    });
  }
  SECTION("a success") {
    const auto pipe = hf::pipeline().with(hf::retry{.budget = budget});
    s.play([&]() -> awaitable<void> { co_await expect_value(pipe(works)); });
  }
  CHECK(granted() == 0);
  CHECK(budget.snapshot(s.time.now()).exhausted == 0);
}

TEST_CASE("an operation is one call, however many attempts and layers it has", "[budget]") {
  stage s;
  const hf::retry_budget budget({.ratio = 1, .min_per_second = 0});
  const auto retry = hf::retry{.max_attempts = 2, .wait = every_second, .budget = budget};
  const auto calls = [&] { return budget.snapshot(s.time.now()).calls_in_window; };
  SECTION("retry alone") {
    const auto pipe = hf::pipeline().with(retry);
    s.play([&]() -> awaitable<void> { co_await expect_error(pipe(fails)); });
    CHECK(calls() == 1);
  }
  SECTION("retry, and two links on the same budget") {
    const auto pipe = hf::pipeline()
                          .with(retry)
                          .fallback(fails, {.budget = budget})
                          .fallback(fails, {.budget = budget});
    s.play([&]() -> awaitable<void> { co_await expect_error(pipe(fails)); });
    CHECK(calls() == 1);
    CHECK(budget.snapshot(s.time.now()).granted == 1);
    CHECK(budget.snapshot(s.time.now()).exhausted == 2);
  }
  SECTION("a link alone") {
    const auto pipe = hf::pipeline().fallback(7, {.budget = budget});
    s.play([&]() -> awaitable<void> {
      const auto r = co_await pipe(fails);
      CHECK(r.value() == 7);
    });
    CHECK(calls() == 1);
  }
  SECTION("another budget for the link") {
    const hf::retry_budget other({.ratio = 1, .min_per_second = 0});
    const auto pipe = hf::pipeline().with(retry).fallback(7, {.budget = other});
    s.play([&]() -> awaitable<void> { co_await expect_answer(pipe(fails), 7); });
    CHECK(calls() == 1);
    CHECK(other.snapshot(s.time.now()).calls_in_window == 1);
    CHECK(other.snapshot(s.time.now()).granted == 1);
  }
}

TEST_CASE("tokens: failures take them, successes bring them back, through a pipeline", "[budget]") {
  stage s;
  const hf::retry_budget budget(
      {.mode = hf::budget_mode::tokens, .max_tokens = 10, .token_ratio = 0.5});
  const auto tokens = [&] { return budget.snapshot(s.time.now()).tokens; };
  const auto pipe =
      hf::pipeline().with(hf::retry{.max_attempts = 3, .wait = every_second, .budget = budget});
  const auto bad_request = []() -> awaitable<int> {
    throw boost::system::system_error(make_error_code(boost::system::errc::invalid_argument));
    co_return 0;
  };
  s.play([&]() -> awaitable<void> {
    auto r = co_await pipe(fails);
    CHECK(r.error().attempts() == 3);
    CHECK(tokens() == 7);  // three failures, two of them repeated
    r = co_await pipe(fails);
    CHECK(r.error().attempts() == 2);
    CHECK(tokens() == 5);
    r = co_await pipe(fails);
    CHECK(r.error().attempts() == 1);
    CHECK(tokens() == 4);
    r = co_await pipe(bad_request);
    CHECK(tokens() == 4);
    for (int i = 0; i < 6; ++i) co_await expect_value(pipe(works));
    CHECK(tokens() == 7);
    r = co_await pipe(fails);
    CHECK(r.error().attempts() == 2);
  });
}

TEST_CASE("tokens: a link's own budget hears of the outcomes", "[budget]") {
  stage s;
  const hf::retry_budget budget(
      {.mode = hf::budget_mode::tokens, .max_tokens = 4, .token_ratio = 0.5});
  const auto pipe = hf::pipeline().fallback(7, {.budget = budget});
  s.play([&]() -> awaitable<void> {
    co_await expect_value(pipe(fails));
    CHECK(budget.snapshot().tokens == 3);
    co_await expect_error(pipe(fails));
    co_await expect_error(pipe(fails));
    CHECK(budget.snapshot().tokens == 1);
    co_await expect_value(pipe(works));
    CHECK(budget.snapshot().tokens == 1.5);
  });
}

TEST_CASE("a paid link is skipped where the budget is spent, and the next one answers",
          "[budget]") {
  stage s;
  const auto budget = two_retries();
  const auto pipe = hf::pipeline()
                        .fallback(7, {.name = "paid", .budget = budget})
                        .fallback(8, {.name = "free"});
  hf::ledger ledger;
  s.play([&]() -> awaitable<void> {
    co_await expect_answer(pipe(fails), 7);
    co_await expect_answer(pipe(fails), 7);
    co_await expect_answer(pipe(fails, {.ledger = &ledger}), 8);
  });
  CHECK(ledger.answered_by() == "free");
  REQUIRE(ledger.entries().size() == 3);
  CHECK(ledger.entries()[1].code == hf::errc::budget_exhausted);
  CHECK(ledger.entries()[1].refused_by == hf::policy_kind::retry_budget);
}

TEST_CASE("a caller who gives up during the delay has spent the retry", "[budget]") {
  stage s;
  const auto budget = two_retries();
  const auto pipe = hf::pipeline().with(hf::retry{.wait = every_second, .budget = budget});
  asio::cancellation_signal stop;
  const auto scene = [&]() -> awaitable<void> {
    const auto r = co_await pipe(fails);
    CHECK(r.has_error());
  };
  asio::co_spawn(s.context, scene,
                 asio::bind_cancellation_slot(stop.slot(), [](std::exception_ptr) {}));
  s.time.run_for(500ms);
  CHECK(budget.snapshot(s.time.now()).available == 1);  // taken already, the delay included
  stop.emit(asio::cancellation_type::terminal);
  s.time.run();
  CHECK(budget.snapshot(s.time.now()).available == 1);
  s.time.run_for(11s);
  CHECK(budget.snapshot(s.time.now()).available == 2);  // and forgotten like any other
}

TEST_CASE("a live change of the budget holds for operations under way", "[budget]") {
  stage s;
  hf::retry_budget budget({.ratio = 0, .min_per_second = 0});
  const auto pipe =
      hf::pipeline().with(hf::retry{.max_attempts = 2, .wait = every_second, .budget = budget});
  const auto slow_failure = []() -> awaitable<hf::result<int>> {
    co_await hf::sleep_for(1s);
    co_return hf::failure(asio::error::connection_reset);
  };
  s.start([&]() -> awaitable<void> {
    const auto r = co_await pipe(slow_failure);
    CHECK(r.error().attempts() == 2);
  });
  s.time.run_for(500ms);
  budget.reconfigure({.ratio = 1, .min_per_second = 0}, s.time.now());
  s.run();
}

TEST_CASE("waits for an open circuit: nothing is sent meanwhile, no attempt is counted",
          "[retry]") {
  stage s;
  hf::circuit_breaker breaker{{.name = "b", .consecutive_failures = 1, .open_for = 5s}};
  const auto budget = two_retries();
  std::vector<hf::duration> at;
  std::vector<unsigned> numbers;
  const auto call = [&](const hf::call_context& ctx) -> awaitable<hf::result<int>> {
    at.push_back(s.elapsed());
    numbers.push_back(ctx.attempt());
    if (s.elapsed() < 10s) co_return hf::failure(asio::error::connection_reset);
    co_return 1;
  };
  const auto pipe = hf::pipeline().with(breaker).with(hf::retry{.max_attempts = 3,
                                                                .wait = every_second,
                                                                .budget = budget,
                                                                .wait_for_circuit = 30s});
  s.play([&]() -> awaitable<void> {
    const auto r = co_await pipe(call);
    REQUIRE(r.has_value());
  });
  // Failed at 0, refused at 1, tried and failed at 5, refused at 6, tried at 10.
  CHECK(at == std::vector<hf::duration>{0s, 5s, 10s});
  CHECK(numbers == std::vector<unsigned>{1, 2, 3});
  CHECK(breaker.snapshot(s.time.now()).refused == 2);
  CHECK(budget.snapshot(s.time.now()).granted == 2);
  CHECK(budget.snapshot(s.time.now()).exhausted == 0);
}

TEST_CASE("waits for a circuit that was open from the start", "[retry]") {
  stage s;
  hf::circuit_breaker breaker{{.consecutive_failures = 1, .open_for = 5s}};
  const auto direct = hf::pipeline().with(breaker);
  const auto pipe =
      direct.with(hf::retry{.max_attempts = 1,
                            .wait = {.jitter = jitter::full},
                            .wait_for_circuit = 6s});
  s.play([&]() -> awaitable<void> {
    co_await expect_error(direct(fails));
    const auto r = co_await pipe(works);
    CHECK(r.has_value());
  });
  CHECK(s.elapsed() >= 5s);                 // never early
  CHECK(s.elapsed() <= 5s + 625ms);  // nor everybody at once
}

TEST_CASE("waits for a place among the probes", "[retry]") {
  stage s;
  hf::circuit_breaker breaker{{.consecutive_failures = 1, .open_for = 5s}};
  const auto direct = hf::pipeline().with(breaker);
  const auto pipe = direct.with(hf::retry{.max_attempts = 1,
                                          .wait = {.base = 0s},  // no hot loop all the same
                                          .wait_for_circuit = 30s});
  const auto slow = []() -> awaitable<int> {
    co_await hf::sleep_for(2s);
    co_return 1;
  };
  s.play([&]() -> awaitable<void> {
    co_await expect_error(direct(fails));
    co_await hf::sleep_for(5s);
  });
  s.start([&]() -> awaitable<void> { co_await expect_value(direct(slow)); });  // the probe
  s.start([&]() -> awaitable<void> {
    co_await hf::sleep_for(1s);
    const auto r = co_await pipe(works);
    CHECK(r.has_value());
  });
  s.run();
  CHECK(s.elapsed() >= 7s);
  CHECK(s.elapsed() <= 7s + 10ms);
  CHECK(breaker.snapshot(s.time.now()).refused <= 101);
}

TEST_CASE("waits for a circuit of a pipeline that is the call", "[retry]") {
  stage s;
  hf::circuit_breaker breaker{{.consecutive_failures = 1, .open_for = 5s}};
  const auto inner = hf::pipeline().with(breaker);
  int asked = 0;
  const auto call = [&]() -> awaitable<hf::result<int>> {
    const auto body = [&]() -> awaitable<hf::result<int>> {
      if (++asked == 1) co_return hf::failure(asio::error::connection_reset);
      co_return 1;
    };
    auto r = co_await inner(body);
    co_return r;
  };
  const auto pipe = hf::pipeline().with(
      hf::retry{.max_attempts = 2, .wait = every_second, .wait_for_circuit = 10s});
  s.play([&]() -> awaitable<void> {
    const auto r = co_await pipe(call);
    CHECK(r.has_value());
  });
  CHECK(asked == 2);
  CHECK(s.elapsed() == 5s);
}

TEST_CASE("a wait for a circuit is bounded", "[retry]") {
  stage s;
  hf::circuit_breaker breaker{{.name = "b", .consecutive_failures = 1, .open_for = 60s}};
  const auto direct = hf::pipeline().with(breaker);
  hf::retry retry{.max_attempts = 2, .wait = every_second, .wait_for_circuit = 10min};
  hf::duration deadline = hf::duration::max();
  hf::errc expected = hf::errc::circuit_open;
  SECTION("off by default") { retry.wait_for_circuit = hf::retry{}.wait_for_circuit; }
  SECTION("by itself") { retry.wait_for_circuit = 59s; }
  SECTION("by max_elapsed") { retry.max_elapsed = 59s; }
  SECTION("by the deadline") { deadline = 59s; }
  SECTION("and not for one that was opened by hand") {
    breaker.isolate(s.time.now());
    expected = hf::errc::circuit_isolated;
  }
  s.play([&]() -> awaitable<void> {
    std::ignore = co_await direct(fails);
    const auto r = co_await direct.with(retry)(
        works, {.deadline = hf::saturating_add(s.time.now(), deadline)});
    REQUIRE(r.has_error());
    CHECK(r.error().code() == expected);
    CHECK(r.error().attempts() == 0);
  });
  CHECK(s.elapsed() == 0s);
}

TEST_CASE("an old refusal is not taken for the reason of a later neutral outcome", "[retry]") {
  stage s;
  hf::circuit_breaker breaker{{.consecutive_failures = 1, .open_for = 5s}};
  const auto direct = hf::pipeline().with(breaker);
  const auto pipe = direct.with(
      hf::retry{.max_attempts = 3, .wait = every_second, .wait_for_circuit = 1min});
  int asked = 0;
  const auto says_nothing = [&]() -> awaitable<hf::result<int>> {
    ++asked;
    co_return hf::failure(asio::error::no_memory);
  };
  s.play([&]() -> awaitable<void> {
    std::ignore = co_await direct(fails);
    const auto r = co_await pipe(says_nothing);
    CHECK(r.error().code() == asio::error::no_memory);
  });
  CHECK(asked == 1);
  CHECK(s.elapsed() == 5s);
}

TEST_CASE("a cancellation ends the wait for a circuit at once", "[retry]") {
  stage s;
  hf::circuit_breaker breaker{{.consecutive_failures = 1, .open_for = 60s}};
  const auto direct = hf::pipeline().with(breaker);
  const auto pipe = direct.with(hf::retry{.wait_for_circuit = 10min});
  s.play([&]() -> awaitable<void> { std::ignore = co_await direct(fails); });
  asio::cancellation_signal stop;
  bool ended = false;
  const auto scene = [&]() -> awaitable<void> { std::ignore = co_await pipe(works); };
  asio::co_spawn(s.context, scene,
                 asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr) {
                   ended = true;
                 }));
  s.time.run_for(30s);
  CHECK_FALSE(ended);
  stop.emit(asio::cancellation_type::terminal);
  s.time.run_for(0s);
  CHECK(ended);
  CHECK(s.time.timers() == 0);
}

TEST_CASE("a retry describes its budget and its wait for a circuit", "[describe]") {
  const hf::retry_budget budget({.name = "b"});
  CHECK(hf::pipeline()
            .with(hf::retry{.budget = budget, .wait_for_circuit = 30s})
            .fallback(1, {.budget = budget})
            .describe() ==
        "fallback 'fallback': degraded answers; retry_budget 'b': 20 % of the calls and 10 per "
        "second, within 10s\n"
        "retry: at most 3 attempts, exponential delays from 100ms up to 20s by 2, full jitter, "
        "retry-after up to 60s, waits for an open circuit up to 30s; retry_budget 'b': 20 % of the "
        "calls and 10 per second, within 10s\n"
        "safe utilisation: 83.3 %\n");
  CHECK(to_string(hf::policy_kind::retry_budget) == "retry_budget");
  CHECK_THROWS_AS(hf::pipeline().with(hf::retry{.wait_for_circuit = -1s}), hf::invalid_options);
}
