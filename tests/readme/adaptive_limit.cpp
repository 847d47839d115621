// SPDX-License-Identifier: BSL-1.0
// What docs/adaptive_limit.md shows.
#include "scenario.hpp"

#include <boost/asio/detached.hpp>
#include <boost/asio/this_coro.hpp>
#include <tuple>

namespace {

/// A service with ten places, 50 ms each, and a queue without end.
class service {
 public:
  explicit service(unsigned places) : places_({.limit = places, .queue = 1'000'000}) {}
  asio::awaitable<int> operator()(hf::call_context& ctx) const {
    const auto work = [](hf::call_context& inner) -> asio::awaitable<int> {
      co_await hf::sleep_for(50ms, inner.token());
      co_return 1;
    };
    hf::result<int> r = co_await hf::pipeline().with(places_)(work, ctx);
    co_return r.value();
  }

 private:
  hf::bulkhead places_;
};

}  // namespace

TEST_CASE("adaptive limit: finds what the service can do") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    const auto executor = co_await asio::this_coro::executor;
    const service ask_gpt4(10);
    // [basic]
    hf::adaptive_limit gpt4{{.name = "gpt-4", .initial_limit = 50}};
    auto guard = hf::pipeline().with(gpt4);

    // 400 calls a second; the service has ten places and needs 50 ms for a call: 200 a second.
    auto client = [&]() -> asio::awaitable<void> { std::ignore = co_await guard(ask_gpt4); };
    for (int i = 0; i < 400 * 60; ++i) {
      asio::co_spawn(executor, client, asio::detached);
      co_await hf::sleep_for(2500us);
    }

    hf::adaptive_limit_snapshot s = gpt4.snapshot();
    CHECK(s.idle_latency == 50ms);  // known, though the service was never idle
    CHECK(s.latency < 120ms);       // with 50 at once it would be 250 ms
    CHECK(gpt4.limit() < 25);
    CHECK(gpt4.refused() > 10'000);  // at once, instead of after a wait
    // [/basic]
    co_await hf::sleep_for(2s);
    CHECK(gpt4.in_flight() == 0);
  });
}

TEST_CASE("adaptive limit: where to put it") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    // [order]
    hf::adaptive_limit limit{{.name = "search"}};
    hf::bulkhead queue{{.name = "search queue", .limit = 100, .queue = 1000}};
    auto guard = hf::pipeline()
                     .with(hf::timeout{2s})  // a call that times out is a dropped one
                     .with(limit)
                     .with(hf::retry{})      // each attempt is a sample of its own
                     .with(queue);
    // [/order]
    const auto quick = []() -> asio::awaitable<int> { co_return 1; };
    hf::result<int> r = co_await guard(quick);
    CHECK(r.has_value());
  });
}

TEST_CASE("adaptive limit: the other algorithms") {
  // [algorithms]
  hf::adaptive_limit cautious{{.algorithm = hf::limit_algorithm::vegas}};
  hf::adaptive_limit simple{{.algorithm = hf::limit_algorithm::aimd, .slow_after = 2s}};
  // [/algorithms]
  CHECK(cautious.limit() == 20);
  CHECK(simple.limit() == 20);
  // [reconfigure]
  simple.reconfigure({.algorithm = hf::limit_algorithm::gradient, .max_limit = 200});
  // [/reconfigure]
  CHECK(simple.limit() == 20);
}
