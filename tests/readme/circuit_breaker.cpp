// SPDX-License-Identifier: BSL-1.0
// What docs/circuit_breaker.md shows.
#include "scenario.hpp"

#include <boost/asio/error.hpp>
#include <string>
#include <tuple>
#include <vector>

namespace {

/// A service that can be broken and mended.
struct service {
  bool down = false;
  unsigned calls = 0;

  auto call() {
    return [this](hf::call_context& ctx) -> asio::awaitable<hf::result<std::string>> {
      ++calls;
      co_await hf::sleep_for(10ms, ctx.token());
      if (down) co_return hf::failure(asio::error::connection_reset);
      co_return "fine";
    };
  }
};

}  // namespace

TEST_CASE("circuit_breaker: opens, refuses, is tried, closes") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    service gpt4;
    auto ask = gpt4.call();
    // [basic]
    hf::circuit_breaker breaker{{.name = "gpt-4", .consecutive_failures = 3, .open_for = 30s}};
    auto guard = hf::pipeline().with(breaker);

    gpt4.down = true;
    for (int i = 0; i < 3; ++i) std::ignore = co_await guard(ask);
    CHECK(breaker.state() == hf::breaker_state::open);

    // Refused at once: the service is left alone.
    hf::result<std::string> answer = co_await guard(ask);
    CHECK(answer.error().code() == hf::errc::circuit_open);
    CHECK(answer.error().policy_name() == "gpt-4");
    CHECK(answer.error().retry_after() == 30s);
    CHECK(gpt4.calls == 3);

    // When the time is up one call goes through as a probe. It answers: the circuit closes.
    gpt4.down = false;
    co_await hf::sleep_for(30s);
    answer = co_await guard(ask);
    CHECK(answer.value() == "fine");
    CHECK(breaker.state() == hf::breaker_state::closed);
    // [/basic]
    CHECK(breaker.snapshot(time.now()).refused == 1);

    gpt4.down = true;
    for (int i = 0; i < 3; ++i) std::ignore = co_await guard(ask);
    co_await hf::sleep_for(30s);
    std::ignore = co_await guard(ask);
    CHECK(breaker.state() == hf::breaker_state::open);
    CHECK(breaker.remaining_open(time.now()) == 30s);
  });
}

TEST_CASE("circuit_breaker: a rate over a window") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    service s;
    auto ask = s.call();
    // [rate]
    // Half of at least twenty calls within ten seconds.
    hf::circuit_breaker breaker{{.name = "search",
                                 .consecutive_failures = 0,  // this rule is off
                                 .failure_rate = 0.5,
                                 .window = 10s,
                                 .minimum_calls = 20}};
    // [/rate]
    const auto guard = hf::pipeline().with(breaker);
    for (int i = 0; i < 19; ++i) {
      s.down = i % 2 == 0;
      std::ignore = co_await guard(ask);
    }
    CHECK(breaker.state() == hf::breaker_state::closed);
    CHECK(breaker.snapshot(time.now()).calls_in_window == 19);
    CHECK(breaker.snapshot(time.now()).bad_in_window == 10);
    s.down = false;
    std::ignore = co_await guard(ask);
    CHECK(breaker.state() == hf::breaker_state::open);
  });
}

TEST_CASE("circuit_breaker: what it counts") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    const auto call = []() -> asio::awaitable<int> { co_return 1; };
    for (const auto v : {hf::verdict::success, hf::verdict::slow, hf::verdict::failure,
                         hf::verdict::throttled, hf::verdict::overloaded,
                         hf::verdict::request_fault, hf::verdict::neutral}) {
      hf::circuit_breaker breaker{{.consecutive_failures = 10}};
      const auto guard =
          hf::pipeline().with(breaker).classify([v](const int&) { return v; });
      std::ignore = co_await guard(call);
      const bool bad = v == hf::verdict::failure || v == hf::verdict::slow ||
                       v == hf::verdict::overloaded;
      INFO(hf::to_string(v));
      CHECK(breaker.snapshot(time.now()).consecutive_failures == (bad ? 1u : 0u));
    }
  });
}

TEST_CASE("circuit_breaker: a request at fault opens nothing") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    // [classifier]
    struct reply {
      int status;
      std::string body;
    };
    auto judge = [](const reply& r) {
      if (r.status >= 500) return hf::verdict::failure;
      if (r.status == 429) return hf::verdict::throttled;
      if (r.status >= 400) return hf::verdict::request_fault;
      return hf::verdict::success;
    };
    hf::circuit_breaker breaker{{.name = "api", .consecutive_failures = 3}};
    auto guard = hf::pipeline().with(breaker).classify(judge);

    auto not_found = []() -> asio::awaitable<reply> { co_return reply{404, "no such user"}; };
    for (int i = 0; i < 100; ++i) std::ignore = co_await guard(not_found);
    CHECK(breaker.state() == hf::breaker_state::closed);

    auto down = []() -> asio::awaitable<reply> { co_return reply{503, ""}; };
    for (int i = 0; i < 3; ++i) std::ignore = co_await guard(down);
    CHECK(breaker.state() == hf::breaker_state::open);
    // [/classifier]
  });
}

TEST_CASE("circuit_breaker: events and the hand on the switch") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    service s;
    auto ask = s.call();
    std::vector<std::string> log;
    // [events]
    hf::circuit_breaker breaker{{.name = "gpt-4"}};
    hf::subscription watching = breaker.on_transition([&](const hf::breaker_transition& t) {
      log.push_back(t.name + ": " + std::string(to_string(t.from)) + " -> " +
                    std::string(to_string(t.to)) + ", " + std::string(to_string(t.cause)));
    });

    breaker.isolate(time.now());  // before a migration, say
    CHECK(log.back() == "gpt-4: closed -> isolated, isolated_by_hand");

    auto guard = hf::pipeline().with(breaker);
    hf::result<std::string> answer = co_await guard(ask);
    CHECK(answer.error().code() == hf::errc::circuit_isolated);

    breaker.reset(time.now());
    CHECK(log.back() == "gpt-4: isolated -> closed, reset_by_hand");
    // [/events]
    watching.cancel();
    breaker.isolate(time.now());
    CHECK(log.size() == 2);
  });
}

TEST_CASE("circuit_breaker: slow calls, several rules, a predicate") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    // [rules]
    hf::circuit_breaker breaker{
        {.name = "search",
         .consecutive_failures = 10,       // in a row, or
         .failure_rate = 0.5,              // half of the calls failed or slow, or
         .slow_rate = 0.8,                 // four of five slow, or
         .slow_after = 2s,                 // (that is: not answered by then)
         .opens_if = [](const hf::breaker_window& w) { return w.hanging >= 100; },
         .window_calls = 200,              // of the last 200 calls
         .minimum_calls = 20}};
    // [/rules]
    const auto guard = hf::pipeline().with(breaker);
    const auto slow = []() -> asio::awaitable<int> {
      co_await hf::sleep_for(2s);
      co_return 1;
    };
    for (int i = 0; i < 10; ++i) std::ignore = co_await guard(slow);
    CHECK(breaker.state() == hf::breaker_state::open);
    CHECK(breaker.remaining_open(time.now()) == 30s);
  });
}

TEST_CASE("circuit_breaker: the open time") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    service s{.down = true};
    auto ask = s.call();
    // [open_time]
    hf::circuit_breaker breaker{{.name = "search",
                                 .consecutive_failures = 1,
                                 .open_for = 5s,
                                 .open_growth = 2,          // 5 s, 10 s, 20 s, ...
                                 .max_open_for = 2min,      // ... up to this,
                                 .open_jitter = 0.2,        // of which up to a fifth is left out
                                 .probe_timeout = 500ms}};  // whoever asks first does not wait long
    // [/open_time]
    const auto guard = hf::pipeline().with(breaker);
    std::ignore = co_await guard(ask);
    CHECK(breaker.remaining_open(time.now()) >= 4s);
    co_await hf::sleep_for(5s);
    std::ignore = co_await guard(ask);
    CHECK(breaker.remaining_open(time.now()) >= 8s);
    CHECK(breaker.remaining_open(time.now()) <= 10s);
  });
}

TEST_CASE("circuit_breaker: recovery in steps") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    service gpt4{.down = true};
    auto ask = gpt4.call();
    // [recovery]
    hf::circuit_breaker breaker{{.name = "gpt-4",
                                 .consecutive_failures = 1,
                                 .open_for = 30s,
                                 .recovery = hf::recovery_ramp{}}};  // 10 %, 20 %, ... 100 %
    auto guard = hf::pipeline().with(breaker);
    std::ignore = co_await guard(ask);
    co_await hf::sleep_for(30s);

    gpt4.down = false;
    std::ignore = co_await guard(ask);  // the probe
    CHECK(breaker.state() == hf::breaker_state::recovering);
    CHECK(breaker.snapshot(time.now()).share == 0.1);

    // One call of ten goes through, the first of them.
    int answered = 0;
    for (int i = 0; i < 20; ++i) answered += (co_await guard(ask)).has_value();
    CHECK(answered == 2);
    // [/recovery]
    // [own_steps]
    hf::recovery_ramp ramp{
        .steps = {{.share = 0.05, .minimum_calls = 20, .failure_rate = 0.1, .at_least = 10s},
                  {.share = 0.5, .minimum_calls = 100, .failure_rate = 0.1, .at_least = 30s}},
        .failed_step = hf::recovery_ramp::on_failure::open};
    // [/own_steps]
    breaker.reconfigure({.name = "gpt-4", .recovery = ramp}, time.now());
    CHECK(breaker.snapshot(time.now()).share == 0.05);
  });
}

TEST_CASE("circuit_breaker: for dashboards") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    // [snapshot]
    hf::circuit_breaker breaker{{.name = "gpt-4"}, time.now()};
    breaker.isolate(time.now());
    co_await hf::sleep_for(10min);

    hf::breaker_snapshot now = breaker.snapshot(time.now());
    CHECK(now.in_this_state == 10min);
    CHECK(now.time_in(hf::breaker_state::isolated) == 10min);
    CHECK(now.half_open_last_hour == 0);
    // [/snapshot]
  });
}

TEST_CASE("circuit_breaker: options that change") {
  in_virtual_time([](hf::testing::virtual_time&) -> asio::awaitable<void> {
    // [reconfigure]
    hf::circuit_breaker breaker{{.name = "gpt-4", .consecutive_failures = 5}};
    breaker.reconfigure({.name = "gpt-4", .consecutive_failures = 10, .failure_rate = 0.5});
    // [/reconfigure]
    CHECK(breaker.state() == hf::breaker_state::closed);
    co_return;
  });
}
