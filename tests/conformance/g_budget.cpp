// SPDX-License-Identifier: BSL-1.0
// Bugs of budgets that others had. Hedges draw on the same object as retries.
#include <atomic>
#include <boost/asio/error.hpp>
#include <catch2/catch_all.hpp>
#include <thread>
#include <vector>

#include "../support/stage.hpp"

namespace {

using test::asio::awaitable;
using test::expect_error;
using test::stage;
namespace asio = test::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::budget_mode;
using hf::retry_budget;

constexpr hf::time_point start{1h};

auto fails = []() -> awaitable<hf::result<int>> {
  co_return hf::failure(asio::error::connection_reset);
};

int drain(retry_budget& b, hf::time_point now) {
  int n = 0;
  while (n < 1'000'000 && b.try_reserve(now)) ++n;
  return n;
}

}  // namespace

TEST_CASE("bug 44: checked and taken in one step", "[conformance][threads]") {
  // Real threads, that all want the last ones.
  for (int round = 0; round < 200; ++round) {
    retry_budget b({.ratio = 0, .min_per_second = 0.3});  // three
    std::atomic<int> granted{0};
    std::atomic<int> ready{0};
    {
      std::vector<std::jthread> threads;
      for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
          ++ready;
          while (ready < 4) std::this_thread::yield();
          for (int i = 0; i < 3; ++i) granted += b.try_reserve(start);
        });
      }
    }
    REQUIRE(granted == 3);
    REQUIRE(b.snapshot(start).exhausted == 9);
  }
}

TEST_CASE("bug 44: what is given back was taken from the same account", "[conformance]") {
  const auto mode = GENERATE(budget_mode::ratio, budget_mode::tokens);
  retry_budget b({.mode = mode, .ratio = 0, .min_per_second = 1});
  const auto all = b.snapshot(start).available;
  for (int i = 0; i < 10'000; ++i) {
    REQUIRE(b.try_reserve(start));
    b.release(start, start);
  }
  CHECK(b.snapshot(start).available == all);
  CHECK(static_cast<std::uint64_t>(drain(b, start)) == all);
}

TEST_CASE("bug 44: without any call the floor holds, and nothing is divided by zero",
          "[conformance]") {
  retry_budget b({.ratio = 0.2, .ttl = 10s, .min_per_second = 3});
  CHECK(drain(b, start) == 30);
  retry_budget none({.ratio = 0.2, .min_per_second = 0});
  CHECK_FALSE(none.try_reserve(start));
  CHECK(none.snapshot(start).available == 0);
}

TEST_CASE("bug 45: a spent budget fills again, in every mode", "[conformance]") {
  SECTION("by calls") {
    retry_budget b({.ratio = 0.1, .ttl = 10s, .min_per_second = 0});
    auto now = start;
    for (int round = 0; round < 20; ++round) {
      for (int i = 0; i < 100; ++i) b.on_call(now);
      REQUIRE(drain(b, now) == 10);
      now += 11s;
    }
  }
  SECTION("by time") {
    retry_budget b({.ratio = 0, .ttl = 10s, .min_per_second = 2});
    for (int round = 0; round < 20; ++round) REQUIRE(drain(b, start + round * 11s) == 20);
  }
  SECTION("by successes") {
    retry_budget b({.mode = budget_mode::tokens, .max_tokens = 10, .token_ratio = 0.1});
    for (int round = 0; round < 20; ++round) {
      while (b.try_reserve(start)) {
      }
      for (int i = 0; i < 100; ++i) b.on_failure();
      REQUIRE(b.snapshot(start).tokens == 0);
      for (int i = 0; i < 100; ++i) b.on_success();
      REQUIRE(b.snapshot(start).tokens == 10);
    }
  }
  SECTION("also while the only traffic are failures") {
    // An operation that comes once a second, and always fails: one retry per ten calls and 0.5/s.
    stage s;
    const retry_budget b({.ratio = 0.1, .ttl = 10s, .min_per_second = 0.5});
    const auto pipe = hf::pipeline().with(
        hf::retry{.max_attempts = 2, .wait = {.base = 0s}, .budget = b});
    int late_retries = 0;
    s.play([&]() -> awaitable<void> {
      for (int i = 0; i < 300; ++i) {
        const auto r = co_await pipe(fails);
        if (i >= 200) late_retries += static_cast<int>(r.error().attempts()) - 1;
        co_await hf::sleep_for(1s);
      }
    });
    CHECK(late_retries >= 50);
    CHECK(late_retries <= 61);
  }
}

TEST_CASE("bug 45: a burst after silence has its floor, not one second's worth",
          "[conformance]") {
  retry_budget b({.ratio = 0.2, .ttl = 10s, .min_per_second = 10});
  b.on_call(start);
  CHECK(drain(b, start + 24h) == 100);
}

TEST_CASE("bug 46: retries that wait out their delay are in the budget", "[conformance]") {
  const auto mode = GENERATE(budget_mode::ratio, budget_mode::tokens);
  stage s;
  const retry_budget b({.mode = mode,
                        .ratio = 0.2,
                        .ttl = 60s,
                        .min_per_second = 0,
                        .max_tokens = 400,
                        .token_ratio = 0.1});
  const auto pipe = hf::pipeline().with(hf::retry{
      .max_attempts = 4,
      .wait = {.kind = hf::backoff_kind::constant, .base = 30s, .cap = 30s},
      .budget = b});
  int asked = 0;
  const auto call = [&]() -> awaitable<hf::result<int>> {
    ++asked;
    co_await hf::sleep_for(1s);
    co_return hf::failure(asio::error::connection_reset);
  };
  for (int i = 0; i < 1000; ++i) {
    s.start([&]() -> awaitable<void> { co_await expect_error(pipe(call)); });
  }
  s.time.run_for(2s);
  CHECK(b.snapshot(s.time.now()).granted == (mode == budget_mode::ratio ? 200 : 199));
  s.run();
  CHECK(asked == 1000 + (mode == budget_mode::ratio ? 200 : 199));
}

TEST_CASE("bug 53: what was reserved and never used does not stay spent", "[conformance]") {
  retry_budget b({.ratio = 0, .ttl = 10s, .min_per_second = 1});
  REQUIRE(drain(b, start) == 10);  // and none of the ten is ever made
  CHECK(drain(b, start + 11s) == 10);
}
