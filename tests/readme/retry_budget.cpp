// SPDX-License-Identifier: BSL-1.0
// What docs/retry_budget.md shows.
#include "scenario.hpp"

#include <boost/asio/detached.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <string>
#include <tuple>

namespace {

using namespace std::string_literals;

asio::awaitable<hf::result<std::string>> down() {
  co_return hf::failure(asio::error::connection_refused);
}

}  // namespace

TEST_CASE("retry_budget: retries in proportion to the calls") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    int attempts = 0;
    const auto search = [&]() -> asio::awaitable<hf::result<std::string>> {
      ++attempts;
      co_return hf::failure(asio::error::connection_refused);
    };
    // [basic]
    // One for everybody who calls the search service.
    hf::retry_budget budget{{.name = "search", .ratio = 0.2, .min_per_second = 1}};
    auto guard = hf::pipeline().with(hf::retry{.max_attempts = 3, .budget = budget});

    // The service is down, and a hundred calls come within a second.
    for (int i = 0; i < 100; ++i) {
      std::ignore = co_await guard(search);
    }
    CHECK(attempts == 100 + 20 + 10);  // not 300
    CHECK(budget.snapshot(time.now()).available == 0);
    // [/basic]
  });
}

TEST_CASE("retry_budget: the ledger tells that it was spent") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    hf::retry_budget budget{{.name = "search", .ratio = 0, .min_per_second = 0}};
    auto guard = hf::pipeline().with(hf::retry{.budget = budget});
    // [ledger]
    hf::ledger ledger;
    hf::result<std::string> answer = co_await guard(down, {.ledger = &ledger});
    CHECK(answer.error().code() == asio::error::connection_refused);
    CHECK(answer.error().attempts() == 1);

    const auto& last = ledger.entries().back();
    CHECK(last.code == hf::errc::budget_exhausted);
    CHECK(last.refused_by == hf::policy_kind::retry_budget);
    CHECK(last.policy_name.view() == "search");
    // [/ledger]
    CHECK(budget.snapshot().exhausted == 1);
  });
}

TEST_CASE("retry_budget: what waits for its delay is counted") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    const auto executor = co_await asio::this_coro::executor;
    // [backoff]
    hf::retry_budget budget{{.ratio = 0.2, .min_per_second = 0}};
    auto guard = hf::pipeline().with(
        hf::retry{.wait = {.base = 5s, .jitter = hf::jitter::none}, .budget = budget});

    auto one = [&]() -> asio::awaitable<void> { std::ignore = co_await guard(down); };
    for (int i = 0; i < 1000; ++i) asio::co_spawn(executor, one, asio::detached);
    co_await hf::sleep_for(1s);
    CHECK(budget.snapshot(time.now()).granted == 200);  // none of them is made before 5 s
    // [/backoff]
    co_await hf::sleep_for(30s);
  });
}

TEST_CASE("retry_budget: a paid fallback") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    const auto ask_model = []() -> asio::awaitable<std::string> { co_return "an answer"; };
    // [paid]
    // A tenth of the questions may go to the model that costs money.
    hf::retry_budget money{{.name = "money", .ratio = 0.1, .min_per_second = 0}};
    auto guard = hf::pipeline()
                     .fallback(ask_model, {.name = "paid model", .budget = money})
                     .fallback("ask again later"s, {.name = "apology"});
    int paid = 0;
    for (int i = 0; i < 100; ++i) {
      hf::result<std::string> answer = co_await guard(down);
      paid += answer.value() == "an answer";
    }
    CHECK(paid == 10);
    // [/paid]
  });
}

TEST_CASE("retry_budget: live changes") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    hf::retry_budget budget;
    // [reconfigure]
    // No retries while the service comes back.
    budget.reconfigure({.ratio = 0, .min_per_second = 0});
    CHECK_FALSE(budget.try_reserve());
    // [/reconfigure]
    CHECK(budget.snapshot(time.now()).granted == 0);
    co_return;
  });
}

TEST_CASE("retry_budget: about one failure in eleven is what tokens bear") {
  // What the page says of the defaults.
  const auto bears = [](int one_in) {
    hf::retry_budget b{{.mode = hf::budget_mode::tokens}};
    for (int i = 0; i < 100'000; ++i) {
      if (i % one_in == 0) {
        if (!b.try_reserve()) return false;
      } else {
        b.on_success();
      }
    }
    return true;
  };
  CHECK(bears(12));
  CHECK(bears(11));
  CHECK_FALSE(bears(10));
}
