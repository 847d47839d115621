// SPDX-License-Identifier: BSL-1.0
// A pipeline without its type does what the pipeline in it does.
#include "../support/expires_after.hpp"
#include "../support/in_virtual_time.hpp"
#include <holdfast/any_pipeline.hpp>
#include <holdfast/resilient.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/result.hpp>
#include <catch2/catch_all.hpp>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace asio = boost::asio;
namespace hf = holdfast;
using hf::testing::virtual_time;
using support::expires_after;
using namespace std::chrono_literals;

namespace {

constexpr hf::backoff no_wait{.base = 0s, .jitter = hf::jitter::none};

asio::awaitable<int> one() { co_return 1; }

hf::any_pipeline<int> guard_for(bool careful) {
  if (!careful) return hf::pipeline();
  return hf::pipeline().with(hf::timeout{2s}).with(hf::retry{.max_attempts = 2, .wait = no_wait});
}

}  // namespace

TEST_CASE("any_pipeline: takes every kind of call, and its timeout reaches each") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    const hf::any_pipeline<int> guard = hf::pipeline().with(hf::timeout{2s});
    const auto plain = []() -> asio::awaitable<int> {
      co_await hf::sleep_for(1h);
      co_return 1;
    };
    const auto reader = [](const hf::call_context&) -> asio::awaitable<hf::result<int>> {
      co_await hf::sleep_for(1h);
      co_return 1;
    };
    const auto context = [](hf::call_context& c) -> asio::awaitable<int> {
      co_await hf::sleep_for(1h, c.token());
      co_return 1;
    };
    const auto of_boost = [](hf::call_context& c) -> asio::awaitable<boost::system::result<int>> {
      co_await hf::sleep_for(1h, c.token());
      co_return 1;
    };
    co_await expires_after(2s, time, guard, plain);
    co_await expires_after(2s, time, guard, reader);
    co_await expires_after(2s, time, guard, context);
    co_await expires_after(2s, time, guard, of_boost);

    const hf::any_pipeline<void> sleeps = hf::pipeline().with(hf::timeout{2s});
    const auto token = [](auto t) { return hf::sleep_for(1h, t); };
    co_await expires_after(2s, time, sleeps, token);
    CHECK(sleeps.timeouts().size() == 1);
    CHECK(sleeps.timeouts()[0].expired == 1);
  });
}

TEST_CASE("any_pipeline: values, failures and exceptions of each kind come through") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    const hf::any_pipeline<int> guard = guard_for(true);
    const auto result = [](const hf::call_context& c) -> asio::awaitable<hf::result<int>> {
      if (c.attempt() == 1) co_return hf::failure(asio::error::broken_pipe);
      co_return 5;
    };
    const auto throws = [](hf::call_context&) -> asio::awaitable<int> {
      throw std::runtime_error("no");
      co_return 0;
    };
    const auto boost_result = []() -> asio::awaitable<boost::system::result<int>> { co_return 7; };
    auto r = co_await guard(result);
    CHECK(r.value() == 5);
    r = co_await guard(throws);
    REQUIRE(r.has_error());
    CHECK(r.error().attempts() == 2);
    CHECK(r.error().message() == "no (after 2 attempts)");
    r = co_await guard(boost_result);
    CHECK(r.value() == 7);
    r = co_await guard(&one);
    CHECK(r.value() == 1);
  });
}

TEST_CASE("any_pipeline: keeps a large call alive through retries and hedges") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    const auto alive = std::make_shared<int>(0);
    const std::string text(1000, 'x');
    const hf::any_pipeline<std::string> guard =
        hf::pipeline()
            .with(hf::hedge({.delay = 1s, .max_hedges = 2}))
            .with(hf::retry{.max_attempts = 3, .wait = no_wait});
    const auto start = [&] {
      return guard([alive, text, more = text](hf::call_context& c) -> asio::awaitable<std::string> {
        ++*alive;
        co_await hf::sleep_for(10s, c.token());
        if (*alive < 6) throw std::runtime_error("too early");
        co_return text + more;
      });
    };
    const auto r = co_await start();
    REQUIRE(r.has_value());
    CHECK(r.value().size() == 2000);
    CHECK(alive.use_count() == 1);
  });
}

TEST_CASE("any_pipeline: chosen at run time, kept in containers, copied and assigned") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    std::vector<hf::any_pipeline<int>> guards{guard_for(false), guard_for(true)};
    guards.push_back(guards[1]);
    guards[0] = hf::any_pipeline<int>();
    const auto fails = []() -> asio::awaitable<int> {
      throw std::runtime_error("no");
      co_return 0;
    };
    std::vector<unsigned> attempts;
    for (const auto& g : guards) {
      const auto r = co_await g(fails);
      attempts.push_back(r.error().attempts());
    }
    CHECK(attempts == std::vector<unsigned>{1, 2, 2});
    CHECK(guards[1].describe() == guards[2].describe());
    CHECK(guards[1].safe_utilisation() == 0.5);
    // What it is moved from stays usable: it is a copy.
    const hf::any_pipeline<int> taken = std::move(guards[1]);
    const auto r = co_await guards[1](&one);
    CHECK(r.has_value());
  });
}

TEST_CASE("any_pipeline: takes options, a parent and a token") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    hf::ledger ledger;
    const hf::any_pipeline<int> guard = hf::pipeline();
    const auto hangs = [](hf::call_context& c) -> asio::awaitable<int> {
      co_await hf::sleep_for(1h, c.token());
      co_return 1;
    };
    const auto begun = time.now();
    const auto late = co_await guard(hangs, {.deadline = begun + 3s, .ledger = &ledger});
    CHECK(late.error().code() == hf::errc::total_timeout);
    const auto outer = [&](hf::call_context& c) -> asio::awaitable<hf::result<int>> {
      co_return co_await guard(hangs, c);
    };
    const auto nested = co_await hf::pipeline().with(hf::timeout{2s})(outer);
    CHECK(nested.error().code() == hf::errc::attempt_timeout);
    CHECK(time.now() - begun == 5s);
    const auto by_token = co_await guard(&one, {}, asio::deferred);
    CHECK(by_token.value() == 1);
    CHECK(ledger.entries().size() == 1);
  });
}

TEST_CASE("any_pipeline: a cache in it refreshes in the background") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    const hf::cache<int> cache({.ttl = 10s, .ttl_jitter = 0, .stale_while_revalidate = 1min});
    const hf::any_pipeline<int> guard = hf::pipeline().with(cache);
    int calls = 0;
    const auto counts = [&calls]() -> asio::awaitable<int> { co_return ++calls; };
    auto r = co_await guard(counts, {.cache_key = "k"});
    co_await hf::sleep_for(20s);
    r = co_await guard(counts, {.cache_key = "k"});
    CHECK(r.value() == 1);  // stale, and fetched anew
    co_await hf::sleep_for(1s);
    r = co_await guard(counts, {.cache_key = "k"});
    CHECK(r.value() == 2);
  });
}
