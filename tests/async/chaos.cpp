// SPDX-License-Identifier: BSL-1.0
// Chaos in a pipeline, in virtual time: what it does must look like the call's own doing.
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "../support/stage.hpp"

namespace {

namespace hf = holdfast;
namespace asio = boost::asio;
using namespace std::chrono_literals;
using test::stage;

const hf::failure reset(asio::error::make_error_code(asio::error::connection_reset));

struct burnt : std::runtime_error {
  using runtime_error::runtime_error;
};

/// A call that counts how often it is made.
struct counted {
  int* made;
  asio::awaitable<int> operator()(hf::call_context& ctx) const {
    ++*made;
    co_await hf::sleep_for(1ms, ctx.token());
    co_return 7;
  }
};

/// One operation, and how long it took.
struct ending {
  std::optional<hf::result<int>> result;
  hf::duration took{};
};

template <class Pipeline, class Call>
ending play(stage& s, const Pipeline& pipeline, Call call, hf::call_options options = {}) {
  ending e;
  s.play([&]() -> asio::awaitable<void> {
    const auto started = s.time.now();
    e.result.emplace(co_await pipeline(call, options));
    e.took = s.time.now() - started;
  });
  return e;
}

hf::chaos on(std::vector<hf::chaos_rule> rules) {
  return hf::chaos({.name = "chaos", .enabled = true, .rules = std::move(rules)});
}

}  // namespace

TEST_CASE("chaos: off, it is not there") {
  stage s;
  int made = 0;
  hf::chaos chaos({.rules = {{.fault = reset}}});
  const auto pipe = hf::pipeline().with(chaos);
  CHECK(play(s, pipe, counted{&made}).result->has_value());
  CHECK(made == 1);
  chaos.enable();
  CHECK(play(s, pipe, counted{&made}).result->has_error());
  CHECK(made == 1);
  chaos.disable();
  CHECK(play(s, pipe, counted{&made}).result->has_value());
  CHECK(chaos.snapshot().attempts == 1);
}

TEST_CASE("chaos: an error code looks like the call's own") {
  stage s;
  int made = 0;
  const auto real = play(s, hf::pipeline(), []() -> asio::awaitable<int> {
    throw boost::system::system_error(asio::error::make_error_code(asio::error::connection_reset));
    co_return 0;
  });
  const auto injected = play(s, hf::pipeline().with(on({{.fault = reset}})), counted{&made});
  REQUIRE(injected.result->has_error());
  const hf::failure& f = injected.result->error();
  CHECK(made == 0);
  CHECK(f.code() == real.result->error().code());
  CHECK(f.policy() == hf::policy_kind::none);
  CHECK(f.attempts() == 1);
  CHECK(f.attempts() == real.result->error().attempts());
}

TEST_CASE("chaos: an exception comes out unchanged") {
  stage s;
  int made = 0;
  const auto e = play(
      s, hf::pipeline().with(on({{.fault = hf::failure(std::make_exception_ptr(burnt("all")))}})),
      counted{&made});
  CHECK_THROWS_AS(e.result->value(), burnt);
  CHECK(e.result->error().code() == hf::errc::exception);
}

TEST_CASE("chaos: the classifier judges it, hint and all") {
  stage s;
  int made = 0;
  hf::failure busy = reset;
  busy.with_retry_after(3s);
  hf::circuit_breaker breaker({.consecutive_failures = 1});
  std::vector<hf::failure> judged;
  const auto pipe = hf::pipeline()
                        .with(on({{.last_attempt = 1, .fault = busy}}))
                        .with(breaker)
                        .with(hf::retry{.wait = {.base = 0ms, .jitter = hf::jitter::none}})
                        .classify([&](const hf::failure& f) {
                          judged.push_back(f);
                          return hf::verdict::throttled;
                        });
  const auto e = play(s, pipe, counted{&made});
  CHECK(e.result->has_value());
  CHECK(e.took == 3001ms);
  CHECK(made == 1);
  REQUIRE(judged.size() == 1);
  CHECK(judged[0].code() == asio::error::connection_reset);
  CHECK(breaker.state() == hf::breaker_state::closed);  // throttled is no failure
}

TEST_CASE("chaos: attempts 3 to 7 of a service fail, whoever makes them") {
  stage s;
  int made = 0;
  const auto chaos = on({{.first_attempt = 3, .last_attempt = 7, .fault = reset}});
  const auto plain = hf::pipeline().with(chaos);
  const auto retrying = hf::pipeline().with(chaos).with(
      hf::retry{.max_attempts = 4, .wait = {.base = 1ms, .cap = 1ms}});
  CHECK(play(s, plain, counted{&made}).result->has_value());
  CHECK(play(s, plain, counted{&made}).result->has_value());
  const auto four = play(s, retrying, counted{&made});  // 3, 4, 5, 6
  CHECK(four.result->error().attempts() == 4);
  const auto two = play(s, retrying, counted{&made});  // 7, 8
  CHECK(two.result->has_value());
  CHECK(made == 3);
  CHECK(chaos.snapshot().attempts == 8);
  CHECK(chaos.snapshot().failed == 5);
}

TEST_CASE("chaos: latency holds the call up, then it is made") {
  stage s;
  int made = 0;
  const auto chaos = on({{.delay = {.base = 250ms}}});
  const auto e = play(s, hf::pipeline().with(chaos), counted{&made});
  CHECK(e.result->has_value());
  CHECK(e.took == 251ms);
  CHECK(made == 1);
  CHECK(chaos.snapshot().delayed == 1);
}

TEST_CASE("chaos: latency beyond the deadline is a timeout") {
  stage s;
  int made = 0;
  const auto chaos = on({{.delay = {.base = 250ms}, .fault = reset}});
  hf::circuit_breaker breaker({.consecutive_failures = 1});
  const auto e = play(
      s, hf::pipeline().with(chaos).with(hf::timeout{100ms}).with(breaker), counted{&made});
  CHECK(e.result->error().code() == hf::errc::attempt_timeout);
  CHECK(e.result->error().policy() == hf::policy_kind::timeout);
  CHECK(e.took == 100ms);
  CHECK(made == 0);
  CHECK(breaker.state() == hf::breaker_state::open);  // it was counted
}

TEST_CASE("chaos: a delay, then a fault") {
  stage s;
  int made = 0;
  const auto e = play(s, hf::pipeline().with(on({{.delay = {.base = 2s}, .fault = reset}})),
                      counted{&made});
  CHECK(e.result->error().code() == asio::error::connection_reset);
  CHECK(e.took == 2s);
  CHECK(made == 0);
}

TEST_CASE("chaos: a hang ends at the deadline, as a call's would") {
  stage s;
  int made = 0;
  const auto chaos = on({{.hang = true}});
  hf::circuit_breaker breaker({.consecutive_failures = 2});
  SECTION("of each attempt") {
    const auto e = play(s,
                        hf::pipeline()
                            .with(chaos)
                            .with(hf::timeout{1s})
                            .with(breaker)
                            .with(hf::retry{.max_attempts = 2,
                                            .wait = {.base = 1s, .jitter = hf::jitter::none}}),
                        counted{&made});
    CHECK(e.result->error().code() == hf::errc::attempt_timeout);
    CHECK(e.result->error().attempts() == 2);
    CHECK(e.took == 3s);
    CHECK(breaker.state() == hf::breaker_state::open);
  }
  SECTION("of the caller") {
    const auto e = play(s, hf::pipeline().with(chaos).with(breaker), counted{&made},
                        {.deadline = s.time.now() + 5s});
    CHECK(e.result->error().code() == hf::errc::total_timeout);
    CHECK(e.took == 5s);
    CHECK(breaker.snapshot(s.time.now()).consecutive_failures == 1);
  }
  SECTION("of a detaching timeout") {
    const auto e = play(s,
                        hf::pipeline().with(chaos).with(
                            hf::timeout{.after = 1s, .mode = hf::timeout_mode::detach}),
                        counted{&made});
    CHECK(e.result->error().code() == hf::errc::attempt_timeout);
    CHECK(e.took == 1s);
  }
  CHECK(made == 0);
}

TEST_CASE("chaos: the caller's cancellation ends a hang at once") {
  stage s;
  int made = 0;
  hf::circuit_breaker breaker({.consecutive_failures = 1});
  const auto pipe = hf::pipeline().with(on({{.hang = true}})).with(breaker).fallback(1);
  asio::cancellation_signal cancel;
  std::optional<hf::result<int>> out;
  hf::time_point ended{};
  const auto scene = [&]() -> asio::awaitable<void> {
    out.emplace(co_await pipe(counted{&made}));
    ended = s.time.now();
  };
  asio::co_spawn(s.context, scene,
                 asio::bind_cancellation_slot(cancel.slot(), [](std::exception_ptr) {}));
  s.time.run_for(10min);
  REQUIRE_FALSE(out);
  cancel.emit(asio::cancellation_type::terminal);
  s.time.run();
  REQUIRE(out);
  CHECK(out->error().code() == hf::errc::cancelled);
  CHECK(ended == s.began + 10min);
  CHECK(breaker.state() == hf::breaker_state::closed);
}

TEST_CASE("chaos: an attempt that is cancelled in a delay goes no further down") {
  stage s;
  int made = 0;
  const auto inner = on({{.from = 24h, .hang = true}});
  const auto pipe = hf::pipeline().with(inner).with(on({{.delay = {.base = 1h}}}));
  asio::cancellation_signal cancel;
  std::optional<hf::result<int>> out;
  const auto scene = [&]() -> asio::awaitable<void> { out.emplace(co_await pipe(counted{&made})); };
  asio::co_spawn(s.context, scene,
                 asio::bind_cancellation_slot(cancel.slot(), [](std::exception_ptr) {}));
  s.time.run_for(10min);
  cancel.emit(asio::cancellation_type::terminal);
  s.time.run();
  REQUIRE(out);
  CHECK(out->error().code() == hf::errc::cancelled);
  CHECK(inner.snapshot().attempts == 0);
  CHECK(made == 0);
}

TEST_CASE("chaos: a brown-out slows a share of the calls, for a time") {
  stage s;
  int made = 0;
  const auto pipe = hf::pipeline().with(on({{.rate = 0.3,
                                             .from = 10s,
                                             .until = 20s,
                                             .delay = {.kind = hf::chaos_delay_kind::exponential,
                                                       .base = 50ms,
                                                       .cap = 1s}}}));
  int slow_before = 0;
  int slow_during = 0;
  int during = 0;
  int slow_after = 0;
  s.play([&]() -> asio::awaitable<void> {
    const auto started = s.time.now();
    while (s.time.now() - started < 30s) {
      const auto began = s.time.now();
      const hf::result<int> r = co_await pipe(counted{&made});
      CHECK(r.has_value());
      const bool slow = s.time.now() - began > 1ms;
      if (began - started < 10s) {
        slow_before += slow;
      } else if (began - started < 20s) {
        slow_during += slow;
        ++during;
      } else {
        slow_after += slow;
      }
    }
  });
  CHECK(slow_before == 0);
  CHECK(slow_after == 0);
  CHECK(slow_during > 0.2 * during);
  CHECK(slow_during < 0.4 * during);
}

TEST_CASE("chaos: two runs of one seed are struck alike") {
  const auto run = [] {
    stage s;
    int made = 0;
    std::vector<bool> outcomes;
    const auto pipe = hf::pipeline().with(
        hf::chaos({.seed = 99,
                   .enabled = true,
                   .rules = {{.rate = 0.5, .delay = {.base = 3ms}, .fault = reset}}}));
    s.play([&]() -> asio::awaitable<void> {
      for (int i = 0; i < 200; ++i) {
        const hf::result<int> r = co_await pipe(counted{&made});
        outcomes.push_back(r.has_value());
      }
    });
    return std::pair(outcomes, s.elapsed());
  };
  CHECK(run() == run());
}

TEST_CASE("chaos: the ledger shows an injected fault as an attempt") {
  stage s;
  int made = 0;
  hf::ledger ledger;
  const auto pipe = hf::pipeline()
                        .with(on({{.last_attempt = 1, .fault = reset}}))
                        .with(hf::retry{.wait = {.base = 1ms, .cap = 1ms}});
  const auto e = play(s, pipe, counted{&made}, {.ledger = &ledger});
  CHECK(e.result->has_value());
  REQUIRE(ledger.entries().size() == 2);
  CHECK(ledger.entries()[0].code == asio::error::connection_reset);
  CHECK(ledger.entries()[0].outcome == hf::verdict::failure);
  CHECK(ledger.entries()[0].refused_by == hf::policy_kind::none);
  CHECK(ledger.entries()[1].outcome == hf::verdict::success);
}

TEST_CASE("chaos: inside a bulkhead and an adaptive limit every permit comes back") {
  stage s;
  int made = 0;
  const hf::bulkhead bulkhead({.limit = 4});
  const hf::adaptive_limit limit({.window = 10ms});
  const auto pipe = hf::pipeline()
                        .with(hf::chaos({.enabled = true,
                                         .rules = {{.rate = 0.3, .fault = reset},
                                                   {.rate = 0.3, .hang = true},
                                                   {.rate = 0.3, .delay = {.base = 5ms}}}}))
                        .with(hf::timeout{20ms})
                        .with(limit)
                        .with(bulkhead);
  s.play([&]() -> asio::awaitable<void> {
    for (int i = 0; i < 300; ++i) {
      const hf::result<int> r = co_await pipe(counted{&made});
      CHECK((r.has_value() || r.error().code() == hf::condition::timed_out ||
             r.error().code() == asio::error::connection_reset));
    }
  });
  CHECK(bulkhead.in_use() == 0);
  CHECK(limit.in_flight() == 0);
  CHECK(limit.snapshot().dropped > 30);
}
