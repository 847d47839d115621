// SPDX-License-Identifier: BSL-1.0
// What docs/load_shedding.md shows.
#include "scenario.hpp"

#include <boost/asio/detached.hpp>
#include <boost/asio/this_coro.hpp>
#include <map>
#include <string>
#include <tuple>

namespace {

asio::awaitable<int> takes_20ms() {
  co_await hf::sleep_for(20ms);
  co_return 1;
}

}  // namespace

TEST_CASE("load shedding: the least important goes first") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    const auto executor = co_await asio::this_coro::executor;
    std::map<hf::priority, std::pair<int, int>> by_class;  // asked, served
    // [basic]
    hf::bulkhead workers{{.limit = 15, .queue = 1000}};  // 15 places of 20 ms: 750 calls a second
    hf::load_shedder shedder{{.name = "api"}};
    auto guard = hf::pipeline()
                     .with(workers)
                     .with(hf::timeout{500ms})
                     .with(shedder);  // around the queue that it watches

    auto client = [&](hf::priority p) -> asio::awaitable<void> {
      hf::result<int> answer = co_await guard(takes_20ms, {.priority = p});
      if (!answer && answer.error().policy() == hf::policy_kind::load_shedder) {
        CHECK(answer.error().code() == hf::errc::shed);
        CHECK(answer.error().retry_after() == 1s);  // nothing changes within a window
      }
      by_class[p].first += 1;
      by_class[p].second += answer.has_value();
    };
    // [/basic]
    for (int i = 0; i < 60'000; ++i) {  // 2,000 calls a second
      if (i == 40'000) by_class.clear();
      asio::co_spawn(executor, client(i % 5 == 0 ? hf::priority::high : hf::priority::background),
                     asio::detached);
      co_await hf::sleep_for(500us);
    }
    // [snapshot]
    hf::load_shedder_snapshot s = shedder.snapshot();
    CHECK(s.admitted < 0.5);  // the share that passes now
    CHECK(s.mean < 60ms);     // spent in the queue
    CHECK(s.shed_by_priority[static_cast<std::size_t>(hf::priority::high)] == 0);
    // [/snapshot]
    const std::pair<int, int> users = by_class[hf::priority::high];
    CHECK(users.second > 0.99 * users.first);
    CHECK(by_class[hf::priority::background].second > 2000);
    CHECK(by_class[hf::priority::background].second < 4000);  // of 16,000
    co_await hf::sleep_for(2s);  // for those under way
  });
}

TEST_CASE("load shedding: a session is served or shed as a whole") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    hf::load_shedder shedder{{.signal = hf::overload_signal::latency}};
    auto guard = hf::pipeline().with(shedder);
    const std::string user = "user-4711";
    int steps = 0;
    const auto step = [&](hf::call_context& ctx) -> asio::awaitable<int> {
      steps += ctx.session() != 0 && ctx.tenant() == "acme";
      co_return 1;
    };
    // [session]
    auto task = [&](hf::call_context& ctx) -> asio::awaitable<int> {
      hf::result<int> found = co_await guard(step, ctx);  // of the same session
      hf::result<int> answer = co_await guard(step, ctx);
      co_return found.value() + answer.value();
    };
    std::ignore = co_await hf::pipeline()(task, {.priority = hf::priority::high,
                                                 .tenant = "acme",
                                                 .session = std::hash<std::string>()(user)});
    // [/session]
    CHECK(steps == 2);
  });
}

TEST_CASE("load shedding: fair shares") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    const auto executor = co_await asio::this_coro::executor;
    // [tenants]
    hf::bulkhead workers{{.limit = 20}};
    hf::load_shedder shedder{{.name = "api", .capacity = 20}};
    auto guard = hf::pipeline().with(workers).with(shedder);

    auto greedy = [&]() -> asio::awaitable<void> {
      std::ignore = co_await guard(takes_20ms, {.tenant = "greedy"});
    };
    for (int i = 0; i < 100; ++i) asio::co_spawn(executor, greedy, asio::detached);
    co_await hf::sleep_for(1ms);
    CHECK(workers.in_use() == 16);  // four fifths

    hf::result<int> answer = co_await guard(takes_20ms, {.tenant = "small"});
    CHECK(answer.has_value());
    // [/tenants]
    CHECK(shedder.snapshot().shed_over_share == 84);
  });
}

TEST_CASE("load shedding: a queue must be there to be watched") {
  // [misplaced]
  hf::load_shedder shedder{{.name = "api"}};
  CHECK_THROWS_AS(hf::pipeline().with(shedder), hf::invalid_options);  // what queue?
  CHECK_THROWS_AS(hf::pipeline().with(shedder).with(hf::bulkhead{}), hf::invalid_options);
  CHECK_NOTHROW(hf::pipeline().with(hf::bulkhead{}).with(shedder));
  // [/misplaced]
  CHECK(
      hf::pipeline().with(hf::bulkhead{}).with(shedder).describe() ==
      "load_shedder 'api': overloaded at a mean queue time above 20ms over 1s or 2000 calls, of at "
      "least 20; then 5 % fewer, else 1 % more, by priority, order changed every 3600s\n"
      "bulkhead '': at most 25 at once, no queue\n");
  const hf::load_shedder other{
      {.signal = hf::overload_signal::latency, .threshold = 2s, .capacity = 20}};
  CHECK(hf::pipeline().with(other).describe() ==
        "load_shedder '': overloaded at a mean latency above 2s over 1s or 2000 calls, of at least "
        "20; then 5 % fewer, else 1 % more, by priority, order changed every 3600s; each tenant at "
        "most 4 times what is left of 20\n");
}
