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

TEST_CASE("bulkhead: the most important first") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    const auto executor = co_await asio::this_coro::executor;
    std::vector<std::string> ended;
    // [priority]
    hf::bulkhead database{{.limit = 1, .queue = 2, .order = hf::queue_order::priority}};
    auto guard = hf::pipeline().with(database);

    auto client = [&](std::string name, hf::priority p) -> asio::awaitable<void> {
      hf::result<int> answer = co_await guard(takes_a_second, {.priority = p});
      ended.push_back(name + (answer                                    ? ""
                              : answer.error().code() == hf::errc::shed ? " (shed)"
                                                                        : "?"));
    };
    asio::co_spawn(executor, client("first", hf::priority::normal), asio::detached);
    asio::co_spawn(executor, client("report", hf::priority::background), asio::detached);
    asio::co_spawn(executor, client("search", hf::priority::normal), asio::detached);
    asio::co_spawn(executor, client("payment", hf::priority::critical), asio::detached);
    co_await hf::sleep_for(5s);
    CHECK(ended == std::vector<std::string>{"report (shed)", "first", "payment", "search"});
    // [/priority]
  });
}

TEST_CASE("bulkhead: weights") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    // [weight]
    hf::bulkhead gpu{{.name = "gpu", .limit = 16}};
    auto guard = hf::pipeline().with(gpu);
    hf::result<int> answer = co_await guard(takes_a_second, {.weight = 12});
    CHECK(answer.has_value());

    answer = co_await guard(takes_a_second, {.weight = 17});  // never fits
    CHECK(answer.error().code() == hf::errc::too_heavy);
    // [/weight]
  });
}

TEST_CASE("bulkhead: other options while it works") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    hf::bulkhead database{{.limit = 10, .queue = 100}};
    // [resize]
    database.resize(4);
    database.reconfigure({.limit = 4, .queue = 50, .order = hf::queue_order::codel});
    hf::bulkhead_snapshot s = database.snapshot();
    CHECK(s.limit == 4);
    CHECK(s.in_use == 0);
    CHECK(s.queue_time_p99 == 0s);
    // [/resize]
    co_return;
  });
}

TEST_CASE("bulkhead: the end of it") {
  in_virtual_time([](auto& time) -> asio::awaitable<void> {
    const auto executor = co_await asio::this_coro::executor;
    hf::bulkhead database{{.limit = 10, .queue = 100}};
    auto guard = hf::pipeline().with(database);
    const auto one = [&]() -> asio::awaitable<void> {
      std::ignore = co_await guard(takes_a_second);
    };
    asio::co_spawn(executor, one, asio::detached);
    co_await hf::sleep_for(100ms);
    const hf::time_point start = time.now();
    // [drain]
    co_await database.drain();  // refuses new calls from here on, and waits for those under way
    hf::result<int> late = co_await guard(takes_a_second);
    CHECK(late.error().code() == hf::errc::shutting_down);
    // [/drain]
    CHECK(time.now() - start == 900ms);
  });
}

TEST_CASE("bulkhead: the end of it, with a bound") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    const auto executor = co_await asio::this_coro::executor;
    hf::bulkhead database{{.limit = 10}};
    const auto guard = hf::pipeline().with(database);
    const auto one = [&]() -> asio::awaitable<void> {
      std::ignore = co_await guard(takes_a_second);
    };
    asio::co_spawn(executor, one, asio::detached);
    co_await hf::sleep_for(100ms);
    // [drain_bounded]
    auto drained = co_await hf::pipeline().with(hf::timeout{500ms})(
        [&](auto token) { return database.drain(std::move(token)); });
    CHECK(drained.error().code() == hf::errc::attempt_timeout);
    CHECK(database.in_use() == 1);
    // [/drain_bounded]
    co_await hf::sleep_for(2s);
  });
}
