// SPDX-License-Identifier: BSL-1.0
// Case study A: a chat service calls an LLM provider for every query, and half of the provider's
// requests hang for 60 s.
#include <boost/asio/error.hpp>
#include <catch2/catch_all.hpp>
#include <deque>
#include <functional>
#include <map>
#include <random>
#include <string>

#include "../support/stage.hpp"

using namespace std::chrono_literals;
using namespace std::string_literals;
using namespace test;
using hf::breaker_state;
using hf::errc;

namespace {

/// The provider's own error, with something in it that only the original has.
struct provider_error : std::runtime_error {
  explicit provider_error(int s) : runtime_error("provider said " + std::to_string(s)), status(s) {}
  int status;
};

/// A provider that does what it is told, and counts.
struct provider {
  enum class mood { healthy, failing, refusing, hanging, bad_request };
  std::string name = "gpt-4";
  mood now = mood::healthy;
  int asked = 0;

  asio::awaitable<std::string> ask(hf::call_context& ctx) {
    ++asked;
    switch (now) {
      case mood::healthy: co_return "answer of " + name;
      case mood::failing: throw provider_error(500);
      case mood::refusing: throw boost::system::system_error(asio::error::connection_refused);
      case mood::bad_request:
        throw boost::system::system_error(asio::error::invalid_argument, "prompt too long");
      case mood::hanging: co_await hf::sleep_for(60s, ctx.token()); break;
    }
    co_return "late answer of " + name;
  }
  auto call() {
    return [this](hf::call_context& ctx) { return ask(ctx); };
  }
};

const hf::circuit_breaker_options five_then_a_minute{
    .name = "gpt-4", .consecutive_failures = 5, .open_for = 60s};

}  // namespace

TEST_CASE("A1: opens after five failures in a row, for a minute, then one request tests",
          "[requirements]") {
  stage s;
  provider gpt4;
  hf::circuit_breaker breaker(five_then_a_minute);
  const auto pipe = hf::pipeline().with(breaker);
  s.play([&]() -> asio::awaitable<void> {
    // Four failures and a success: the count is cleared.
    for (const auto mood : {provider::mood::failing, provider::mood::healthy}) {
      gpt4.now = mood;
      for (int i = 0; i < (mood == provider::mood::failing ? 4 : 1); ++i) {
        (void)co_await pipe(gpt4.call());
      }
    }
    CHECK(breaker.state() == breaker_state::closed);

    gpt4.now = provider::mood::failing;
    for (int i = 0; i < 5; ++i) {
      CHECK(breaker.state() == breaker_state::closed);
      (void)co_await pipe(gpt4.call());
    }
    CHECK(breaker.state() == breaker_state::open);

    // Open for the whole minute.
    gpt4.asked = 0;
    for (int i = 0; i < 59; ++i) {
      co_await hf::sleep_for(1s);
      const auto r = co_await pipe(gpt4.call());
      CHECK(r.error().code() == errc::circuit_open);
      CHECK(r.error().retry_after() == 60s - 1s * (i + 1));
    }
    CHECK(gpt4.asked == 0);

    // The test fails: open again, for a whole minute again.
    co_await hf::sleep_for(1s);
    (void)co_await pipe(gpt4.call());
    CHECK(gpt4.asked == 1);
    CHECK(breaker.state() == breaker_state::open);
    co_await hf::sleep_for(59s);
    const auto refused = co_await pipe(gpt4.call());
    CHECK(refused.error().code() == errc::circuit_open);

    // The test succeeds: closed, and the count begins anew.
    co_await hf::sleep_for(1s);
    gpt4.now = provider::mood::healthy;
    const auto good = co_await pipe(gpt4.call());
    CHECK(good.value() == "answer of gpt-4");
    CHECK(breaker.state() == breaker_state::closed);
    gpt4.now = provider::mood::failing;
    for (int i = 0; i < 4; ++i) (void)co_await pipe(gpt4.call());
    CHECK(breaker.state() == breaker_state::closed);
  });
}

TEST_CASE("A2: only the chosen errors count, others pass through uncounted", "[requirements]") {
  stage s;
  provider gpt4;
  hf::circuit_breaker breaker(five_then_a_minute);
  // Timeouts and connection errors; neither status 500 nor bad requests.
  const auto pipe =
      hf::pipeline()
          .with(hf::timeout{2s})
          .with(breaker)
          .classify(hf::count_only{hf::condition::timed_out,
                                   boost::system::errc::connection_refused});
  s.play([&]() -> asio::awaitable<void> {
    gpt4.now = provider::mood::failing;
    for (int i = 0; i < 50; ++i) {
      const auto r = co_await pipe(gpt4.call());
      CHECK_THROWS_AS(r.value(), provider_error);
    }
    gpt4.now = provider::mood::bad_request;
    for (int i = 0; i < 50; ++i) {
      const auto r = co_await pipe(gpt4.call());
      CHECK_THROWS_AS(r.value(), boost::system::system_error);
    }
    CHECK(breaker.state() == breaker_state::closed);
    CHECK(breaker.snapshot(s.time.now()).consecutive_failures == 0);

    gpt4.now = provider::mood::hanging;
    for (int i = 0; i < 3; ++i) (void)co_await pipe(gpt4.call());
    gpt4.now = provider::mood::refusing;
    CHECK(breaker.state() == breaker_state::closed);
    for (int i = 0; i < 2; ++i) (void)co_await pipe(gpt4.call());
    CHECK(breaker.state() == breaker_state::open);
  });
}

TEST_CASE("A3: while open, calls are refused at once, with an error of their own kind",
          "[requirements]") {
  // That a refusal takes well under a microsecond is measured by scripts/bench, `open_reject`.
  stage s;
  provider gpt4{.now = provider::mood::failing};
  hf::circuit_breaker breaker(five_then_a_minute);
  const auto pipe = hf::pipeline().with(hf::timeout{2s}).with(breaker).with(hf::retry{});
  s.play([&]() -> asio::awaitable<void> {
    while (breaker.state() == breaker_state::closed) (void)co_await pipe(gpt4.call());
    gpt4.asked = 0;
    const auto before = s.time.now();
    for (int i = 0; i < 1000; ++i) {
      const auto r = co_await pipe(gpt4.call());
      REQUIRE(r.has_error());
      REQUIRE(r.error().code() == errc::circuit_open);
      REQUIRE(r.error().code() == hf::condition::rejected);
      REQUIRE(r.error().policy() == hf::policy_kind::circuit_breaker);
      REQUIRE(r.error().policy_name() == "gpt-4");
      REQUIRE_FALSE(r.error().exception());
      REQUIRE(r.error().attempts() == 0);
    }
    CHECK(gpt4.asked == 0);
    CHECK(s.time.now() == before);  // nothing was waited for either
    const auto r = co_await pipe(gpt4.call());
    CHECK_THROWS_AS(r.value(), hf::error);
  });
}

TEST_CASE("A4: the original error of a failed call reaches the caller unchanged",
          "[requirements]") {
  stage s;
  hf::circuit_breaker breaker(five_then_a_minute);
  hf::bulkhead bulkhead({.limit = 10});
  const auto original = std::make_exception_ptr(provider_error(529));
  const auto throwing = [&]() -> asio::awaitable<std::string> {
    std::rethrow_exception(original);
    co_return "";
  };
  const boost::system::error_code reset = asio::error::connection_reset;
  const auto with_code = [&]() -> asio::awaitable<hf::result<std::string>> {
    co_return hf::failure(reset);
  };
  const auto pipe = hf::pipeline()
                        .with(hf::timeout{2s})
                        .with(bulkhead)
                        .with(breaker)
                        .with(hf::retry{.max_attempts = 2, .wait = {.base = 0ns}})
                        .with(hf::timeout{10s});
  s.play([&]() -> asio::awaitable<void> {
    const auto r = co_await pipe(throwing);
    REQUIRE(r.has_error());
    CHECK(r.error().exception() == original);  // the same object, not a copy
    CHECK(r.error().policy() == hf::policy_kind::none);
    try {
      (void)r.value();
      FAIL("no exception");
    } catch (const provider_error& e) {
      CHECK(e.status == 529);
      CHECK(e.what() == "provider said 529"s);
    }
    const auto c = co_await pipe(with_code);
    CHECK(c.error().code() == reset);
  });
}

TEST_CASE("A6: GPT-4, then GPT-3.5, then the cache, each model with its own breaker",
          "[requirements]") {
  stage s;
  provider gpt4{.name = "gpt-4"};
  provider gpt35{.name = "gpt-3.5"};
  hf::circuit_breaker breaker4({.name = "gpt-4", .consecutive_failures = 5, .open_for = 60s});
  hf::circuit_breaker breaker35({.name = "gpt-3.5", .consecutive_failures = 3, .open_for = 20s});
  const auto chain =
      hf::resilient(gpt4.call())
          .with(hf::timeout{2s})
          .with(breaker4)
          .fallback(hf::resilient(gpt35.call()).with(hf::timeout{2s}).with(breaker35),
                    {.name = "gpt-3.5"})
          .fallback([] { return "cached answer"s; },
                    {.name = "cache", .quality = hf::quality::cached});
  s.play([&]() -> asio::awaitable<void> {
    hf::ledger ledger;
    const auto ask = [&]() -> asio::awaitable<std::string> {
      auto r = co_await chain.run({.ledger = &ledger});
      co_return r.value();
    };
    auto answer = co_await ask();
    CHECK(answer == "answer of gpt-4");
    CHECK(ledger.quality() == hf::quality::primary);
    CHECK(ledger.answered_by().empty());

    gpt4.now = provider::mood::hanging;
    for (int i = 0; i < 5; ++i) {
      answer = co_await ask();
      CHECK(answer == "answer of gpt-3.5");
      CHECK(ledger.quality() == hf::quality::degraded);
      CHECK(ledger.answered_by() == "gpt-3.5");
    }
    CHECK(breaker4.state() == breaker_state::open);
    CHECK(breaker35.state() == breaker_state::closed);

    // With its circuit open GPT-4 costs no time.
    const auto before = s.time.now();
    gpt4.asked = 0;
    answer = co_await ask();
    CHECK(answer == "answer of gpt-3.5");
    CHECK(s.time.now() == before);
    CHECK(gpt4.asked == 0);

    gpt35.now = provider::mood::failing;
    for (int i = 0; i < 3; ++i) {
      answer = co_await ask();
      CHECK(answer == "cached answer");
      CHECK(ledger.quality() == hf::quality::cached);
      CHECK(ledger.answered_by() == "cache");
    }
    CHECK(breaker35.state() == breaker_state::open);

    // Each recovers on its own, after its own time.
    gpt4.now = gpt35.now = provider::mood::healthy;
    co_await hf::sleep_for(20s);
    answer = co_await ask();
    CHECK(answer == "answer of gpt-3.5");
    CHECK(breaker35.state() == breaker_state::closed);
    CHECK(breaker4.state() == breaker_state::open);
    co_await hf::sleep_for(40s);
    answer = co_await ask();
    CHECK(answer == "answer of gpt-4");
    CHECK(breaker4.state() == breaker_state::closed);
  });
}

TEST_CASE("A11: five injected failures open the circuit, the sixth call fails fast, one test "
          "closes it",
          "[requirements]") {
  stage s;
  // The rehearsal's script: what the call does, time after time.
  std::deque<std::function<std::string()>> script;
  for (int i = 0; i < 5; ++i) {
    script.push_back([]() -> std::string { throw provider_error(503); });
  }
  script.push_back([] { return "well again"s; });
  int made = 0;
  const auto scripted = [&]() -> asio::awaitable<std::string> {
    ++made;
    const auto next = script.front();
    script.pop_front();
    co_return next();
  };
  hf::circuit_breaker breaker(five_then_a_minute);
  std::vector<breaker_state> states;
  const auto sub =
      breaker.on_transition([&](const hf::breaker_transition& t) { states.push_back(t.to); });
  const auto pipe = hf::pipeline().with(breaker);
  s.play([&]() -> asio::awaitable<void> {
    for (int i = 0; i < 5; ++i) {
      const auto r = co_await pipe(scripted);
      CHECK_THROWS_AS(r.value(), provider_error);
    }
    CHECK(breaker.state() == breaker_state::open);
    const auto sixth = co_await pipe(scripted);
    CHECK(sixth.error().code() == errc::circuit_open);
    CHECK(made == 5);
    co_await hf::sleep_for(60s);
    const auto test = co_await pipe(scripted);
    CHECK(test.value() == "well again");
    CHECK(breaker.state() == breaker_state::closed);
  });
  CHECK(states ==
        std::vector{breaker_state::open, breaker_state::half_open, breaker_state::closed});
}

namespace {

/// A server of a fixed number of workers with one queue before them, as the case study's.
class worker_server {
 public:
  using job = std::function<asio::awaitable<void>()>;

  worker_server(stage& s, int workers) {
    for (int i = 0; i < workers; ++i) s.start([this] { return work(); });
  }
  void submit(job j) { queue_.push_back(std::move(j)); }
  void close() { closed_ = true; }

 private:
  asio::awaitable<void> work() {
    while (!closed_ || !queue_.empty()) {
      if (queue_.empty()) {
        co_await hf::sleep_for(20ms);
        continue;
      }
      const job next = std::move(queue_.front());
      queue_.pop_front();
      co_await next();
    }
  }

  std::deque<job> queue_;
  bool closed_ = false;
};

/// What users saw.
struct experience {
  hf::duration slowest_ask{};
  hf::duration slowest_history{};
  int asked = 0;
  int answered = 0;
  int read = 0;
};

/// Two minutes of traffic at ten questions and twenty reads of old conversations a second, on 30
/// workers. From the 30th second on half of the provider's requests hang for 60 s.
template <class Ask>
experience two_minutes(Ask ask_provider) {
  stage s;
  experience seen;
  std::mt19937 random(4);
  worker_server server(s, 30);
  const auto provider = [&](hf::call_context* ctx) -> asio::awaitable<std::string> {
    const bool hangs = s.elapsed() > 30s && random() % 2;
    const hf::duration d = hangs ? 60s : 300ms;
    if (ctx) {
      co_await hf::sleep_for(d, ctx->token());
    } else {
      co_await hf::sleep_for(d);
    }
    co_return "answer";
  };
  s.start([&]() -> asio::awaitable<void> {
    for (int i = 0; i < 120 * 20; ++i) {
      const auto came = s.time.now();
      if (i % 2) {
        ++seen.asked;
        server.submit([&, came]() -> asio::awaitable<void> {
          const bool answered = co_await ask_provider(provider);
          seen.answered += answered;
          seen.slowest_ask = std::max(seen.slowest_ask, s.time.now() - came);
        });
      }
      server.submit([&, came]() -> asio::awaitable<void> {
        co_await hf::sleep_for(5ms);
        ++seen.read;
        seen.slowest_history = std::max(seen.slowest_history, s.time.now() - came);
      });
      co_await hf::sleep_for(50ms);
    }
    server.close();
  });
  s.run();
  return seen;
}

}  // namespace

TEST_CASE("A8: fail fast, and the rest of the service keeps its capacity", "[requirements]") {
  SECTION("the naive client waits, and old conversations starve") {
    const auto seen = two_minutes([](auto& provider) -> asio::awaitable<bool> {
      co_await provider(nullptr);
      co_return true;
    });
    CHECK(seen.slowest_ask >= 60s);
    CHECK(seen.slowest_history >= 30s);
  }
  SECTION("with the stack everybody is served") {
    hf::bulkhead bulkhead({.name = "llm", .limit = 10});
    hf::circuit_breaker breaker({.name = "llm",
                                 .consecutive_failures = 5,
                                 .failure_rate = 0.3,
                                 .window = 10s,
                                 .minimum_calls = 10,
                                 .open_for = 20s});
    const auto pipe = hf::pipeline()
                          .with(hf::timeout{4s})
                          .with(bulkhead)
                          .with(breaker)
                          .with(hf::retry{.max_attempts = 2})
                          .with(hf::timeout{9s})
                          .fallback("cached"s, {.quality = hf::quality::cached});
    const auto seen = two_minutes([&pipe](auto& provider) -> asio::awaitable<bool> {
      const auto call = [&provider](hf::call_context& ctx) { return provider(&ctx); };
      const auto r = co_await pipe(call);
      co_return r.has_value();
    });
    CHECK(seen.asked == 1200);
    CHECK(seen.answered == seen.asked);
    CHECK(seen.slowest_ask <= 10s);
    CHECK(seen.read == 2400);
    CHECK(seen.slowest_history <= 100ms);
    CHECK(bulkhead.in_use() == 0);
  }
}
