// SPDX-License-Identifier: BSL-1.0
// What docs/retry.md shows.
#include "scenario.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>

namespace {

hf::failure reset() { return hf::failure(asio::error::connection_reset); }

}  // namespace

TEST_CASE("retry: repeats until the call answers") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    const hf::time_point start = time.now();
    // [basic]
    // Fails twice, then answers.
    auto flaky = [](hf::call_context& ctx) -> asio::awaitable<hf::result<std::string>> {
      if (ctx.attempt() < 3) {
        co_return hf::failure(asio::error::connection_reset);
      }
      co_return "at last";
    };
    auto guard = hf::pipeline().with(hf::retry{
        .max_attempts = 4,
        .wait = {.base = 100ms, .factor = 2.0, .jitter = hf::jitter::none}});

    hf::result<std::string> answer = co_await guard(flaky);
    CHECK(answer.value() == "at last");
    CHECK(time.now() - start == 100ms + 200ms);
    // [/basic]
  });
}

TEST_CASE("retry: attempts that run out give the last real failure") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    const auto fails = []() -> asio::awaitable<hf::result<int>> { co_return reset(); };
    const auto guard = hf::pipeline().with(hf::retry{.max_attempts = 3});
    const hf::result<int> answer = co_await guard(fails);
    CHECK(answer.error().code() == asio::error::connection_reset);
    CHECK(answer.error().policy() == hf::policy_kind::none);
    CHECK(answer.error().attempts() == 3);
  });
}

TEST_CASE("retry: full jitter stays within the delay") {
  const hf::duration took = in_virtual_time([](auto&) -> asio::awaitable<void> {
    const auto fails = []() -> asio::awaitable<hf::result<int>> { co_return reset(); };
    const auto guard = hf::pipeline().with(hf::retry{.max_attempts = 3});
    std::ignore = co_await guard(fails);
  });
  CHECK(took > 0s);
  CHECK(took <= 300ms);
}

TEST_CASE("retry: waits as long as the service asked for") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    const hf::time_point start = time.now();
    // [retry_after]
    auto busy = [](hf::call_context& ctx) -> asio::awaitable<hf::result<std::string>> {
      if (ctx.attempt() == 1) {
        hf::failure f(asio::error::try_again);
        co_return f.with_retry_after(4s);
      }
      co_return "served";
    };
    auto guard = hf::pipeline().with(hf::retry{.max_retry_after = 10s});
    hf::result<std::string> answer = co_await guard(busy);
    CHECK(answer.value() == "served");
    CHECK(time.now() - start >= 4s);      // never early
    CHECK(time.now() - start <= 4500ms);  // nor everybody at once
    // [/retry_after]
  });
}

TEST_CASE("retry: a hint beyond max_retry_after is not waited for") {
  const hf::duration took = in_virtual_time([](auto&) -> asio::awaitable<void> {
    const auto busy = []() -> asio::awaitable<hf::result<int>> {
      co_return reset().with_retry_after(2min);
    };
    const auto guard = hf::pipeline().with(hf::retry{});
    const hf::result<int> answer = co_await guard(busy);
    CHECK(answer.error().attempts() == 1);
    CHECK(answer.error().retry_after() == 2min);
  });
  CHECK(took == 0s);
}

TEST_CASE("retry: nothing is begun that the deadline would cut short") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    const hf::time_point start = time.now();
    // [deadline]
    auto fails = []() -> asio::awaitable<hf::result<int>> {
      co_return hf::failure(asio::error::connection_reset);
    };
    auto guard = hf::pipeline()
                     .with(hf::retry{.wait = {.base = 800ms, .jitter = hf::jitter::none}})
                     .with(hf::timeout{1s});

    // The second delay, 1.6 s, would go past the deadline: it is not slept.
    hf::result<int> answer = co_await guard(fails);
    CHECK(answer.error().code() == asio::error::connection_reset);
    CHECK(answer.error().attempts() == 2);
    CHECK(time.now() - start == 800ms);
    // [/deadline]
  });
}

TEST_CASE("retry: max_elapsed bounds the beginning of the last attempt") {
  const hf::duration took = in_virtual_time([](auto&) -> asio::awaitable<void> {
    const auto fails = []() -> asio::awaitable<hf::result<int>> { co_return reset(); };
    const auto guard = hf::pipeline().with(
        hf::retry{.max_attempts = 100,
                  .max_elapsed = 1s,
                  .wait = {.kind = hf::backoff_kind::constant, .base = 300ms,
                           .jitter = hf::jitter::none}});
    const hf::result<int> answer = co_await guard(fails);
    CHECK(answer.error().attempts() == 4);
  });
  CHECK(took == 900ms);
}

TEST_CASE("retry: a call that must not happen twice") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    int payments = 0;
    int dials = 0;
    // [idempotent]
    auto guard = hf::pipeline().with(hf::retry{.max_attempts = 3});

    // The connection broke after the request was sent: perhaps the payment was made.
    auto pay = [&]() -> asio::awaitable<hf::result<void>> {
      ++payments;
      co_return hf::failure(asio::error::connection_reset);
    };
    hf::result<void> paid = co_await guard(pay, {.idempotent = false});
    CHECK(payments == 1);

    // Nothing was sent yet: this may be repeated.
    auto dial = [&]() -> asio::awaitable<hf::result<void>> {
      ++dials;
      co_return hf::failure(asio::error::connection_refused);
    };
    paid = co_await guard(dial, {.idempotent = false});
    CHECK(dials == 3);
    // [/idempotent]
  });
}

TEST_CASE("retry: a pipeline whose calls must not happen twice") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    int payments = 0;
    // [pipeline_idempotent]
    auto payment_guard = hf::pipeline().with(hf::retry{.max_attempts = 3}).idempotent(false);

    auto pay = [&]() -> asio::awaitable<hf::result<void>> {
      ++payments;
      co_return hf::failure(asio::error::connection_reset);
    };
    hf::result<void> paid = co_await payment_guard(pay);
    CHECK(payments == 1);
    // [/pipeline_idempotent]
  });
}

TEST_CASE("retry: what it repeats and what not") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    const auto guard = hf::pipeline().with(hf::retry{.max_attempts = 3});
    const auto attempts_of = [&guard](hf::verdict v) -> asio::awaitable<unsigned> {
      const auto judged = guard.classify([v](const int&) { return v; });
      unsigned calls = 0;
      const auto call = [&calls]() -> asio::awaitable<int> {
        ++calls;
        co_return 1;
      };
      std::ignore = co_await judged(call);
      co_return calls;
    };
    for (const auto v : {hf::verdict::failure, hf::verdict::throttled, hf::verdict::overloaded}) {
      const unsigned attempts = co_await attempts_of(v);
      CHECK(attempts == 3);
    }
    for (const auto v : {hf::verdict::success, hf::verdict::slow, hf::verdict::request_fault,
                         hf::verdict::neutral}) {
      const unsigned attempts = co_await attempts_of(v);
      CHECK(attempts == 1);
    }
  });
}

TEST_CASE("retry: the service's words, from its headers") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    const hf::time_point start = time.now();
    struct response {
      int status;
      std::string retry_after;  // the header
    };
    // [headers]
    auto by_status = [](const response& r) -> hf::classification {
      if (r.status == 429) return {hf::verdict::throttled, hf::parse_retry_after(r.retry_after)};
      if (r.status >= 500) return {hf::verdict::failure, hf::parse_retry_after(r.retry_after)};
      return hf::verdict::success;
    };
    auto guard = hf::pipeline().with(hf::retry{}).classify(by_status);
    // [/headers]
    const auto busy = [](hf::call_context& ctx) -> asio::awaitable<response> {
      if (ctx.attempt() == 1) co_return response{429, "7"};
      co_return response{200, ""};
    };
    const hf::result<response> answer = co_await guard(busy);
    CHECK(answer.value().status == 200);
    CHECK(time.now() - start >= 7s);
  });
}

TEST_CASE("retry: waits for an open circuit") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    const hf::time_point start = time.now();
    const auto flaky = [](hf::call_context& ctx) -> asio::awaitable<hf::result<std::string>> {
      if (ctx.attempt() == 1) co_return reset();
      co_return "at last";
    };
    // [wait_for_circuit]
    hf::circuit_breaker breaker{{.consecutive_failures = 1, .open_for = 5s}};
    auto guard = hf::pipeline()
                     .with(breaker)
                     .with(hf::retry{.max_attempts = 2, .wait_for_circuit = 30s});

    // The first attempt fails and opens the circuit; the second waits for it.
    hf::result<std::string> answer = co_await guard(flaky);
    CHECK(answer.value() == "at last");
    CHECK(time.now() - start >= 5s);
    // [/wait_for_circuit]
  });
}

TEST_CASE("retry: only_if has the last word") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    const auto fails = []() -> asio::awaitable<hf::result<int>> { co_return reset(); };
    // [only_if]
    auto guard = hf::pipeline().with(hf::retry{.only_if = [](const hf::failure* f, hf::verdict) {
      return f && f->code() != asio::error::connection_reset;
    }});
    // [/only_if]
    const hf::result<int> answer = co_await guard(fails);
    CHECK(answer.error().attempts() == 1);
  });
}

TEST_CASE("retry: the caller's cancellation ends a delay at once") {
  asio::io_context ctx{1};
  hf::testing::virtual_time time{ctx, 1};
  const auto fails = []() -> asio::awaitable<hf::result<int>> { co_return reset(); };
  const auto guard = hf::pipeline().with(
      hf::retry{.wait = {.base = 10s, .jitter = hf::jitter::none}});
  std::optional<boost::system::error_code> code;
  const auto scenario = [&]() -> asio::awaitable<void> {
    const hf::result<int> answer = co_await guard(fails);
    code = answer.error().code();
  };
  asio::cancellation_signal signal;
  asio::co_spawn(ctx, scenario,
                 asio::bind_cancellation_slot(signal.slot(), [](std::exception_ptr) {}));
  time.run_for(1s);
  CHECK_FALSE(code);
  signal.emit(asio::cancellation_type::terminal);
  time.poll();
  REQUIRE(code);
  CHECK(*code == hf::errc::cancelled);
}
