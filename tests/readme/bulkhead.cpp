// SPDX-License-Identifier: BSL-1.0
// What docs/bulkhead.md shows.
#include "scenario.hpp"

#include <boost/asio/detached.hpp>
#include <boost/asio/this_coro.hpp>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace {

asio::awaitable<int> takes_a_second(hf::call_context& ctx) {
  co_await hf::sleep_for(1s, ctx.token());
  co_return 1;
}

}  // namespace

TEST_CASE("bulkhead: a full one refuses at once") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    const auto executor = co_await asio::this_coro::executor;
    const hf::time_point start = time.now();
    // [basic]
    hf::bulkhead gpt4{{.name = "gpt-4", .limit = 2}};
    auto guard = hf::pipeline().with(gpt4);

    auto one = [&]() -> asio::awaitable<void> { std::ignore = co_await guard(takes_a_second); };
    asio::co_spawn(executor, one, asio::detached);
    asio::co_spawn(executor, one, asio::detached);
    co_await hf::sleep_for(100ms);
    CHECK(gpt4.in_use() == 2);

    hf::result<int> third = co_await guard(takes_a_second);
    CHECK(third.error().code() == hf::errc::bulkhead_full);
    CHECK(third.error().code() == hf::condition::rejected);
    CHECK(time.now() - start == 100ms);  // it did not wait
    // [/basic]
    co_await hf::sleep_for(2s);
    CHECK(gpt4.in_use() == 0);
    CHECK(gpt4.refused() == 1);
  });
}

TEST_CASE("bulkhead: a queue in order of arrival, and bounded") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    const auto executor = co_await asio::this_coro::executor;
    const hf::time_point start = time.now();
    std::vector<int> served;
    // [queue]
    hf::bulkhead database{{.name = "database", .limit = 1, .queue = 2, .max_queue_time = 1500ms}};
    auto guard = hf::pipeline().with(database);

    auto client = [&](int number) -> asio::awaitable<void> {
      hf::result<int> answer = co_await guard(takes_a_second);
      if (answer) served.push_back(number);
    };
    for (int i = 1; i <= 4; ++i) asio::co_spawn(executor, client(i), asio::detached);

    co_await hf::sleep_for(100ms);
    CHECK(database.in_use() == 1);
    CHECK(database.waiting() == 2);
    CHECK(database.refused() == 1);  // the fourth: the queue was full

    co_await hf::sleep_for(5s);
    CHECK(served == std::vector{1, 2});  // the third had waited for 1.5 s
    CHECK(database.refused() == 2);
    // [/queue]
    CHECK(time.now() - start == 5100ms);
    CHECK(database.in_use() == 0);
    CHECK(database.waiting() == 0);
  });
}

TEST_CASE("bulkhead: the queue is bounded by the deadline") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    const auto executor = co_await asio::this_coro::executor;
    hf::bulkhead database{{.limit = 1, .queue = 10}};
    // [deadline]
    auto guard = hf::pipeline().with(database).with(hf::timeout{500ms});
    // [/deadline]
    auto first = [&]() -> asio::awaitable<void> {
      std::ignore = co_await hf::pipeline().with(database)(takes_a_second);
    };
    asio::co_spawn(executor, first, asio::detached);
    co_await hf::sleep_for(10ms);
    const hf::time_point start = time.now();
    const hf::result<int> answer = co_await guard(takes_a_second);
    CHECK(time.now() - start == 500ms);
    CHECK(answer.error().code() == hf::errc::attempt_timeout);
    CHECK(answer.error().attempts() == 0);
    CHECK(database.waiting() == 0);
  });
}

TEST_CASE("bulkhead: one service that hangs leaves the others alone") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    const auto executor = co_await asio::this_coro::executor;
    hf::bulkhead slow{{.name = "slow", .limit = 5}};
    const auto guard = hf::pipeline().with(slow);
    const auto hangs = [](hf::call_context& ctx) -> asio::awaitable<int> {
      co_await hf::sleep_for(60s, ctx.token());
      co_return 1;
    };
    const auto client = [&]() -> asio::awaitable<void> { std::ignore = co_await guard(hangs); };
    for (int i = 0; i < 100; ++i) asio::co_spawn(executor, client, asio::detached);
    co_await hf::sleep_for(1ms);
    CHECK(slow.in_use() == 5);
    CHECK(slow.refused() == 95);
  });
}
