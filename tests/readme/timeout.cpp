// SPDX-License-Identifier: BSL-1.0
// What docs/timeout.md shows.
#include "scenario.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/this_coro.hpp>
#include <string>

namespace {

asio::awaitable<std::string> hangs(hf::call_context& ctx) {
  co_await hf::sleep_for(60s, ctx.token());
  co_return "too late";
}

/// Does not listen to cancellation, as calls into some libraries do not.
asio::awaitable<std::string> deaf() {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  co_await hf::sleep_for(3s);
  co_return "late, but here";
}

asio::awaitable<std::string> forgets(hf::call_context&) {
  co_await hf::sleep_for(1s, asio::bind_cancellation_slot(asio::cancellation_slot(),
                                                          asio::deferred));
  co_return "late, but here";
}

}  // namespace

TEST_CASE("timeout: for each attempt and for all of them") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    const hf::time_point start = time.now();
    // [attempt_and_total]
    auto guard = hf::pipeline()
                     .with(hf::timeout{2s})  // below the retry: each attempt
                     .with(hf::retry{.max_attempts = 10, .wait = {.base = 0s}})
                     .with(hf::timeout{5s});  // around it: all attempts and the waits between

    // Two attempts take 2 s each, the third is cut short after one second.
    hf::result<std::string> answer = co_await guard(hangs);
    CHECK(answer.error().code() == hf::errc::total_timeout);
    CHECK(answer.error().code() == hf::condition::timed_out);
    CHECK(answer.error().attempts() == 3);
    CHECK(time.now() - start == 5s);
    // [/attempt_and_total]
  });
}

TEST_CASE("timeout: the call's own operations hear it through the token") {
  const hf::duration took = in_virtual_time([](auto&) -> asio::awaitable<void> {
    // [context_call]
    auto ask = [](hf::call_context& ctx) -> asio::awaitable<std::string> {
      co_await hf::sleep_for(60s, ctx.token());  // any Asio operation takes the token
      co_return "too late";
    };
    auto guard = hf::pipeline().with(hf::timeout{2s});
    hf::result<std::string> answer = co_await guard(ask);
    CHECK(answer.error().code() == hf::errc::attempt_timeout);
    CHECK(answer.error().policy() == hf::policy_kind::timeout);
    // [/context_call]
  });
  CHECK(took == 2s);
}

TEST_CASE("timeout: what it has seen") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    // [overrun]
    // forgets() takes the context, awaits one second, and does not pass the token on.
    auto guard = hf::pipeline().with(hf::timeout{.after = 100ms, .name = "gpt-4"});
    hf::result<std::string> answer = co_await guard(forgets);
    CHECK(answer.has_value());  // after one second

    hf::timeout_snapshot seen = guard.timeouts().front();
    CHECK(seen.name == "gpt-4");
    CHECK(seen.expired == 1);
    CHECK(seen.overran == 1);
    CHECK(seen.longest_overrun == 900ms);
    // [/overrun]
  });
}

TEST_CASE("timeout: a resolver that cannot be cancelled") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    const hf::time_point start = time.now();
    const auto look_up = [](const std::string& host) -> asio::awaitable<std::string> {
      auto found = co_await deaf();  // stands for resolver.async_resolve(host, ...)
      co_return found + host;
    };
    // [dns]
    auto resolve = hf::pipeline().with(
        hf::timeout{.after = 1s, .mode = hf::timeout_mode::detach, .name = "dns"});

    std::string host = "example.com";
    auto call = [look_up, host] { return look_up(host); };  // owns all that it needs
    hf::result<std::string> address = co_await resolve(call);
    CHECK(address.error().message() == "timeout 'dns': no answer within 1 s");
    // [/dns]
    CHECK(time.now() - start == 1s);
    co_await hf::sleep_for(3s);
  });
}

TEST_CASE("timeout: a client that keeps its connection for total only") {
  const hf::duration took = in_virtual_time([](auto&) -> asio::awaitable<void> {
    // [cancellation]
    auto guard = hf::pipeline().with(
        hf::timeout{.after = 2s, .cancellation = asio::cancellation_type::total});
    // [/cancellation]
    const hf::result<std::string> answer = co_await guard(hangs);
    CHECK(answer.error().code() == hf::errc::attempt_timeout);
  });
  CHECK(took == 2s);
}

TEST_CASE("timeout: an awaitable without a context is cancelled as well") {
  const hf::duration took = in_virtual_time([](auto&) -> asio::awaitable<void> {
    auto opaque = []() -> asio::awaitable<std::string> {
      co_await hf::sleep_for(60s);
      co_return "too late";
    };
    const auto guard = hf::pipeline().with(hf::timeout{2s});
    const hf::result<std::string> answer = co_await guard(opaque);
    CHECK(answer.error().code() == hf::errc::attempt_timeout);
  });
  CHECK(took == 2s);
}

TEST_CASE("timeout: a value that comes late is passed on") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    const hf::time_point start = time.now();
    const auto guard = hf::pipeline().with(hf::timeout{2s});
    const hf::result<std::string> answer = co_await guard(deaf);
    CHECK(answer.value() == "late, but here");
    CHECK(time.now() - start == 3s);
  });
}

TEST_CASE("timeout: detach does not wait for a deaf call") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    const hf::time_point start = time.now();
    // [detach]
    // deaf() ignores cancellation and takes three seconds.
    auto guard = hf::pipeline().with(hf::timeout{.after = 2s,
                                                 .mode = hf::timeout_mode::detach,
                                                 .grace = 100ms,
                                                 .max_detached = 1});
    hf::result<std::string> first = co_await guard(deaf);
    CHECK(first.error().code() == hf::errc::attempt_timeout);
    CHECK(time.now() - start == 2100ms);  // the call is left running

    hf::result<std::string> second = co_await guard(deaf);
    CHECK(second.error().code() == hf::errc::too_many_detached);
    CHECK(second.error().code() == hf::condition::rejected);

    co_await hf::sleep_for(1s);  // the first call has ended, its place is free
    hf::result<std::string> third = co_await guard(deaf);
    CHECK(third.error().code() == hf::errc::attempt_timeout);
    // [/detach]
  });
}

TEST_CASE("timeout: the caller's deadline bounds every timeout") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    const hf::time_point start = time.now();
    const auto guard = hf::pipeline().with(hf::timeout{2s});
    // [deadline]
    hf::result<std::string> answer = co_await guard(hangs, {.deadline = time.now() + 1s});
    CHECK(answer.error().code() == hf::errc::total_timeout);

    // The deadline has passed: the call is not made.
    answer = co_await guard(hangs, {.deadline = time.now()});
    CHECK(answer.error().code() == hf::errc::deadline_too_near);
    CHECK(answer.error().attempts() == 0);
    // [/deadline]
    CHECK(time.now() - start == 1s);
  });
}
