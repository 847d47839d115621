// SPDX-License-Identifier: BSL-1.0
// What docs/rate_limiter.md shows.
#include "scenario.hpp"

#include <boost/asio/detached.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/errc.hpp>
#include <boost/system/system_error.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace {

asio::awaitable<int> ask() { co_return 1; }

struct answer {
  std::string text;
  std::uint64_t tokens;
};
asio::awaitable<answer> generate(const std::string&) {
  co_await hf::sleep_for(300ms);
  co_return answer{"hello", 180};
}

asio::awaitable<int> too_many_requests() {
  throw boost::system::system_error(
      make_error_code(boost::system::errc::resource_unavailable_try_again));
  co_return 0;
}

}  // namespace

TEST_CASE("rate limiter: refuses at once, and says until when") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    // [basic]
    hf::rate_limiter search{{.name = "search", .permits = 10, .period = 1s, .burst = 3}};
    auto guard = hf::pipeline().with(search);

    for (int i = 0; i < 3; ++i) {
      hf::result<int> r = co_await guard(ask);
      CHECK(r.has_value());  // an idle limiter has its burst in store
    }
    hf::result<int> fourth = co_await guard(ask);
    CHECK(fourth.error().code() == hf::errc::rate_limited);
    CHECK(fourth.error().code() == hf::condition::rejected);
    CHECK(fourth.error().retry_after() == 100ms);

    co_await hf::sleep_for(100ms);
    fourth = co_await guard(ask);
    CHECK(fourth.has_value());
    // [/basic]
    CHECK(search.refused() == 1);
    CHECK(search.snapshot(time.now()).available == 0);
  });
}

TEST_CASE("rate limiter: waits, evenly spaced") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    const auto executor = co_await asio::this_coro::executor;
    const hf::time_point start = time.now();
    // [wait]
    hf::rate_limiter search{
        {.name = "search", .permits = 10, .period = 1s, .burst = 1, .max_wait = 250ms}};
    auto guard = hf::pipeline().with(search);

    std::vector<hf::duration> served;
    auto client = [&]() -> asio::awaitable<void> {
      hf::result<int> r = co_await guard(ask);
      if (r) served.push_back(time.now() - start);
    };
    for (int i = 0; i < 5; ++i) asio::co_spawn(executor, client, asio::detached);
    co_await hf::sleep_for(1s);
    CHECK(served == std::vector<hf::duration>{0ms, 100ms, 200ms});
    CHECK(search.refused() == 2);  // they would have waited 300 ms: refused at once
    // [/wait]
  });
}

TEST_CASE("rate limiter: a deadline that cannot be met is known at once") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    // [deadline]
    hf::rate_limiter batch{{.permits = 1, .period = 1s, .burst = 1, .max_wait = 10s}};
    auto guard = hf::pipeline().with(batch).with(hf::timeout{800ms});

    hf::result<int> first = co_await guard(ask);
    const hf::time_point before = time.now();
    hf::result<int> second = co_await guard(ask);
    CHECK(second.error().code() == hf::errc::rate_limited);
    CHECK(second.error().retry_after() == 1s);
    CHECK(time.now() == before);  // no time was lost, and no permit
    // [/deadline]
    CHECK(first.has_value());
  });
}

TEST_CASE("rate limiter: requests and tokens per minute") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    // [tokens]
    hf::rate_limiter requests{
        {.name = "gpt-4 rpm", .permits = 500, .period = 60s, .weighted = false}};
    hf::rate_limiter tokens{
        {.name = "gpt-4 tpm", .permits = 30'000, .period = 60s, .max_wait = 5s}};
    auto guard = hf::pipeline().with(tokens).with(requests);

    auto chat = [](hf::call_context& ctx) -> asio::awaitable<std::string> {
      answer a = co_await generate("hi");
      ctx.settle(a.tokens);  // what it really cost
      co_return a.text;
    };
    hf::result<std::string> text = co_await guard(chat, {.cost = 1200});  // an estimate
    CHECK(text.value() == "hello");
    // 180 tokens are gone, less what 300 ms have brought; the rest of the estimate came back.
    CHECK(tokens.snapshot(time.now()).available == 30'000 - 180 + 150);
    // [/tokens]
    CHECK(requests.snapshot(time.now()).available == 500);
  });
}

TEST_CASE("rate limiter: the service's hints") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    // [hints]
    auto judge = [](const hf::failure& f) -> hf::classification {
      const bool busy = f.code() == boost::system::errc::resource_unavailable_try_again;
      if (busy) return {hf::verdict::throttled, 4s};  // from Retry-After
      return hf::verdict::failure;
    };
    hf::rate_limiter api{{.name = "api", .max_wait = 1s}};
    auto guard = hf::pipeline().with(api).classify(judge);

    hf::result<int> throttled = co_await guard(too_many_requests);
    hf::result<int> next = co_await guard(ask);
    CHECK(next.error().code() == hf::errc::rate_limited);
    CHECK(next.error().retry_after() == 4s);

    // From x-ratelimit-remaining and x-ratelimit-reset, with any answer.
    api.hint(20, 30s, time.now());
    // [/hints]
    CHECK(throttled.has_error());
    co_await hf::sleep_for(4s);
    next = co_await guard(ask);
    CHECK(next.has_value());
  });
}

TEST_CASE("rate limiter: by hand") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    // [by_hand]
    hf::rate_limiter bandwidth{
        {.name = "upload", .permits = 1'000'000, .period = 1s, .burst = 64'000, .max_wait = 1s}};

    hf::rate_limiter::reservation r =
        bandwidth.reserve(64'000, time.now() + 500ms, time.now());
    REQUIRE(r.granted);
    co_await hf::sleep_for(r.at - time.now());
    // ... sends less than it thought ...
    bandwidth.settle(r, 40'000, time.now());
    CHECK(bandwidth.snapshot(time.now()).available == 24'000);
    // [/by_hand]
  });
}

TEST_CASE("rate limiter: other options for those who come") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    hf::rate_limiter api{{.name = "api", .permits = 10, .period = 1s}};
    // [reconfigure]
    api.reconfigure({.permits = 50, .period = 1s, .burst = 5}, time.now());
    // [/reconfigure]
    CHECK(api.snapshot(time.now()).available == 5);
    co_return;
  });
}
