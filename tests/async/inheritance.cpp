// SPDX-License-Identifier: BSL-1.0
// What one operation takes over from another that it runs in, or stands for, and what it hands back.
#include <boost/asio/error.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/policy/rate_limiter.hpp>
#include <optional>
#include <string>
#include <vector>

#include "../support/stage.hpp"

using namespace std::chrono_literals;
using test::stage;
namespace asio = boost::asio;
namespace hf = holdfast;

namespace {

/// A store of 1,000 units that is never refilled: it shows what has been charged.
hf::rate_limiter purse() {
  return hf::rate_limiter{{.permits = 1000, .period = 1000h, .weighted = true}};
}
std::int64_t charged(const hf::rate_limiter& l, const stage& s) {
  return 1000 - static_cast<std::int64_t>(l.snapshot(s.time.now()).available);
}

hf::retry at_once(unsigned attempts) {
  return {.max_attempts = attempts, .wait = {.base = 0s, .jitter = hf::jitter::none}};
}

/// Settles so many units in its first attempt, ten times as many in the second, and fails but in
/// the last.
struct settling {
  unsigned good_at;
  asio::awaitable<hf::result<int>> operator()(hf::call_context& ctx) const {
    const unsigned n = ctx.attempt();
    ctx.settle(n == 1 ? 1 : n == 2 ? 10 : 100);
    if (n < good_at) co_return hf::failure(asio::error::connection_reset);
    co_return static_cast<int>(n);
  }
};

/// Lasts 100 ms in the first attempt and 10 ms in each later one; settles 10 units.
struct slow_at_first {
  std::vector<unsigned>* numbers;
  asio::awaitable<int> operator()(hf::call_context& ctx) const {
    numbers->push_back(ctx.attempt());
    ctx.settle(10);
    co_await hf::sleep_for(numbers->size() == 1 ? 100ms : 10ms, ctx.token());
    co_return 1;
  }
};

/// Fails every time, and writes its number down.
struct failing {
  std::vector<unsigned>* numbers;
  asio::awaitable<hf::result<int>> operator()(hf::call_context& ctx) const {
    numbers->push_back(ctx.attempt());
    co_await hf::sleep_for(1ms, ctx.token());
    co_return hf::failure(asio::error::connection_reset);
  }
};

std::vector<unsigned> numbers_in(const hf::ledger& ledger) {
  std::vector<unsigned> numbers;
  for (const auto& e : ledger.entries()) {
    if (e.attempt != 0) numbers.push_back(e.attempt);
  }
  return numbers;
}

}  // namespace

// Costs.

TEST_CASE("what a hedged call settles reaches the limiter around the hedge", "[inheritance]") {
  const bool nested = GENERATE(false, true);
  CAPTURE(nested);
  stage s;
  const auto limiter = purse();
  std::vector<unsigned> numbers;
  s.play([&]() -> asio::awaitable<void> {
    const hf::call_options options{.cost = 500};
    if (nested) {
      const auto guard = hf::pipeline()
                             .with(hf::timeout{10s})
                             .with(hf::hedge({.delay = 1h}))
                             .with(limiter);
      co_await test::expect_value(guard(slow_at_first{&numbers}, options));
    } else {
      const auto guard = hf::pipeline().with(hf::hedge({.delay = 1h})).with(limiter);
      co_await test::expect_value(guard(slow_at_first{&numbers}, options));
    }
  });
  CHECK(charged(limiter, s) == 10);
}

TEST_CASE("the attempts of a hedge are charged together, the one that lost too", "[inheritance]") {
  const bool nested = GENERATE(false, true);
  CAPTURE(nested);
  stage s;
  const auto limiter = purse();
  std::vector<unsigned> numbers;
  s.play([&]() -> asio::awaitable<void> {
    const hf::call_options options{.cost = 500};
    const hf::hedge hedge({.delay = 20ms});
    if (nested) {
      const auto guard = hf::pipeline().with(hf::timeout{10s}).with(hedge).with(limiter);
      co_await test::expect_value(guard(slow_at_first{&numbers}, options));
    } else {
      const auto guard = hf::pipeline().with(hedge).with(limiter);
      co_await test::expect_value(guard(slow_at_first{&numbers}, options));
    }
  });
  CHECK(numbers.size() == 2);
  CHECK(charged(limiter, s) == 20);
}

TEST_CASE("all attempts of a retry count for the limiter around it, each for one inside",
          "[inheritance]") {
  stage s;
  const auto inner = purse();
  const auto outer = purse();
  s.play([&]() -> asio::awaitable<void> {
    const auto guard = hf::pipeline().with(inner).with(at_once(3)).with(outer);
    co_await test::expect_value(guard(settling{3}, {.cost = 50}));
  });
  CHECK(charged(inner, s) == 111);
  CHECK(charged(outer, s) == 111);
}

TEST_CASE("two limiters in a row charge the same", "[inheritance]") {
  stage s;
  const auto inner = purse();
  const auto outer = purse();
  s.play([&]() -> asio::awaitable<void> {
    const auto guard = hf::pipeline().with(at_once(3)).with(inner).with(outer);
    co_await test::expect_value(guard(settling{2}, {.cost = 50}));
  });
  CHECK(charged(inner, s) == 11);
  CHECK(charged(outer, s) == 11);
}

TEST_CASE("nothing settled is charged as reserved, and zero as nothing", "[inheritance]") {
  const bool settles = GENERATE(false, true);
  stage s;
  const auto inner = purse();
  const auto outer = purse();
  s.play([&]() -> asio::awaitable<void> {
    const auto guard = hf::pipeline().with(inner).with(outer);
    auto call = [settles](hf::call_context& ctx) -> asio::awaitable<int> {
      if (settles) ctx.settle(0);
      co_return 1;
    };
    co_await test::expect_value(guard(call, {.cost = 50}));
  });
  CHECK(charged(inner, s) == (settles ? 0 : 50));
  CHECK(charged(outer, s) == (settles ? 0 : 50));
}

TEST_CASE("a limiter that refuses keeps nothing of what an earlier attempt settled",
          "[inheritance]") {
  stage s;
  const hf::rate_limiter inner{{.permits = 60, .period = 1000h, .weighted = true}};
  const auto outer = purse();
  s.play([&]() -> asio::awaitable<void> {
    const auto guard = hf::pipeline().with(inner).with(at_once(3)).with(outer);
    // 100 of 60 are settled by the first attempt: there are none for the second.
    auto call = [](hf::call_context& ctx) -> asio::awaitable<hf::result<int>> {
      ctx.settle(100);
      co_return hf::failure(asio::error::connection_reset);
    };
    co_await test::expect_error(guard(call, {.cost = 50}));
  });
  CHECK(charged(outer, s) == 100);
}

TEST_CASE("what a link's call settles reaches the limiter around the fallback", "[inheritance]") {
  const bool own_policies = GENERATE(false, true);
  stage s;
  const auto limiter = purse();
  const auto links_own = purse();
  s.play([&]() -> asio::awaitable<void> {
    auto link = [](hf::call_context& ctx) -> asio::awaitable<int> {
      ctx.settle(30);
      co_return 1;
    };
    auto down = [](hf::call_context& ctx) -> asio::awaitable<hf::result<int>> {
      ctx.settle(4);
      co_return hf::failure(asio::error::connection_reset);
    };
    if (own_policies) {
      const auto guard = hf::pipeline()
                             .fallback(hf::resilient(link).with(hf::timeout{1s}).with(links_own))
                             .with(limiter);
      co_await test::expect_value(guard(down, {.cost = 500}));
    } else {
      const auto guard = hf::pipeline().fallback(link).with(limiter);
      co_await test::expect_value(guard(down, {.cost = 500}));
    }
  });
  CHECK(charged(limiter, s) == 34);
  if (own_policies) CHECK(charged(links_own, s) == 30);
}

TEST_CASE("what a nested pipeline's call settles reaches its own limiter and the parent's",
          "[inheritance]") {
  stage s;
  const auto outer = purse();
  const auto inner = purse();
  s.play([&]() -> asio::awaitable<void> {
    const auto nested = hf::pipeline().with(hf::timeout{1s}).with(at_once(3)).with(inner);
    const auto guard = hf::pipeline().with(hf::timeout{10s}).with(outer);
    auto call = [&nested](hf::call_context& ctx) -> asio::awaitable<hf::result<int>> {
      co_return co_await nested(settling{3}, {.cost = 20, .parent = &ctx});
    };
    co_await test::expect_value(guard(call, {.cost = 500}));
  });
  CHECK(charged(inner, s) == 111);
  CHECK(charged(outer, s) == 111);
}

TEST_CASE("what an opaque chain, a hedge and a link below each other settle comes up to the top",
          "[inheritance]") {
  stage s;
  const auto limiter = purse();
  s.play([&]() -> asio::awaitable<void> {
    const auto innermost = hf::pipeline().with(hf::hedge({.delay = 1h}));
    const auto guard = hf::pipeline()
                           .fallback([&](hf::call_context& ctx) -> asio::awaitable<hf::result<int>> {
                             co_return co_await innermost(settling{2}, ctx);
                           })
                           .with(hf::timeout{10s})
                           .with(limiter);
    auto down = []() -> asio::awaitable<hf::result<int>> {
      co_return hf::failure(asio::error::connection_reset);
    };
    co_await test::expect_value(guard(down, {.cost = 500}));
  });
  CHECK(charged(limiter, s) == 11);  // the hedge's first attempt fails, its second answers
}

TEST_CASE("what an attempt had settled before it was left behind is charged", "[inheritance]") {
  stage s;
  const auto limiter = purse();
  s.play([&]() -> asio::awaitable<void> {
    const auto guard =
        hf::pipeline()
            .with(hf::timeout{.after = 1s, .mode = hf::timeout_mode::detach})
            .with(limiter);
    auto deaf = [](hf::call_context& ctx) -> asio::awaitable<int> {
      ctx.settle(7);
      co_await hf::sleep_for(10s);
      ctx.settle(100);  // nobody waits for it any more
      co_return 1;
    };
    co_await test::expect_error(guard(deaf, {.cost = 500}));
  });
  CHECK(charged(limiter, s) == 7);
}

// A limiter counts what ran below it.

TEST_CASE("a limiter around a fallback counts the link's call where its own call was not made",
          "[inheritance]") {
  stage s;
  hf::circuit_breaker breaker;
  breaker.isolate(s.time.now());
  const hf::rate_limiter limiter{{.permits = 1, .period = 1h}};
  int calls = 0;
  s.play([&]() -> asio::awaitable<void> {
    auto link = [&]() -> asio::awaitable<int> {
      ++calls;
      co_return 1;
    };
    auto call = []() -> asio::awaitable<int> { co_return 0; };
    const auto guard = hf::pipeline().with(breaker).fallback(link).with(limiter);
    for (int i = 0; i < 10; ++i) static_cast<void>(co_await guard(call));
  });
  CHECK(calls == 1);
}

// Attempts.

TEST_CASE("attempts of a retry below a hedge have numbers of their own, and all are counted",
          "[inheritance]") {
  stage s;
  std::vector<unsigned> numbers;
  hf::ledger ledger;
  s.play([&]() -> asio::awaitable<void> {
    const auto guard = hf::pipeline().with(at_once(2)).with(hf::hedge({.delay = 1h}));
    const auto r = co_await guard(failing{&numbers}, {.ledger = &ledger});
    CHECK(r.error().attempts() == 4);
  });
  CHECK(numbers == std::vector<unsigned>{1, 2, 3, 4});
  CHECK(numbers_in(ledger) == numbers);
}

TEST_CASE("attempts of a hedge below a retry have numbers of their own, and all are counted",
          "[inheritance]") {
  stage s;
  std::vector<unsigned> numbers;
  hf::ledger ledger;
  s.play([&]() -> asio::awaitable<void> {
    const auto guard = hf::pipeline().with(hf::hedge({.delay = 1h})).with(at_once(2));
    const auto r = co_await guard(failing{&numbers}, {.ledger = &ledger});
    CHECK(r.error().attempts() == 4);
  });
  CHECK(numbers == std::vector<unsigned>{1, 2, 3, 4});
  CHECK(numbers_in(ledger) == numbers);
}

TEST_CASE("attempts beside each other take their numbers as they start", "[inheritance]") {
  stage s;
  std::vector<unsigned> numbers;
  hf::ledger ledger;
  s.play([&]() -> asio::awaitable<void> {
    // Two races of two, each attempt of a race retried once beside the other.
    const auto guard = hf::pipeline().with(at_once(2)).with(hf::hedge({.delay = 0s}));
    const auto r = co_await guard(failing{&numbers}, {.ledger = &ledger});
    CHECK(r.error().attempts() == 4);
  });
  CHECK(numbers == std::vector<unsigned>{1, 2, 3, 4});
  auto recorded = numbers_in(ledger);
  std::ranges::sort(recorded);
  CHECK(recorded == numbers);
}

TEST_CASE("a hedge whose attempts are refused has made none", "[inheritance]") {
  stage s;
  hf::circuit_breaker breaker;
  breaker.isolate(s.time.now());
  const hf::rate_limiter limiter{{.permits = 10, .period = 1h}};
  hf::ledger ledger;
  s.play([&]() -> asio::awaitable<void> {
    std::vector<unsigned> numbers;
    const auto guard = hf::pipeline().with(breaker).with(hf::hedge({.delay = 1h})).with(limiter);
    const auto r = co_await guard(failing{&numbers}, {.ledger = &ledger});
    CHECK(r.error().attempts() == 0);
  });
  CHECK(ledger.attempts() == 0);
  CHECK(limiter.snapshot(s.time.now()).available == 10);  // nothing ran below it
}

TEST_CASE("a fault injected outside of a hedge counts as an attempt, also in the ledger",
          "[inheritance]") {
  stage s;
  hf::ledger ledger;
  std::vector<unsigned> numbers;
  s.play([&]() -> asio::awaitable<void> {
    const hf::chaos chaos({.enabled = true, .rules = {{.fault = hf::failure(asio::error::connection_reset)}}});
    const auto guard = hf::pipeline().with(hf::hedge({.delay = 1h})).with(chaos).with(at_once(3));
    const auto r = co_await guard(failing{&numbers}, {.ledger = &ledger});
    CHECK(r.error().attempts() == ledger.attempts());
  });
  CHECK(numbers_in(ledger) == std::vector<unsigned>{1, 2, 3});
}

TEST_CASE("a link that asks why it is needed learns how many attempts there were",
          "[inheritance]") {
  stage s;
  std::vector<unsigned> numbers;
  unsigned told = 0;
  s.play([&]() -> asio::awaitable<void> {
    const auto guard = hf::pipeline()
                           .with(at_once(2))
                           .with(hf::hedge({.delay = 1h}))
                           .fallback([&](const hf::failure& why) {
                             told = why.attempts();
                             return 1;
                           });
    co_await test::expect_value(guard(failing{&numbers}));
  });
  CHECK(told == 4);
}

TEST_CASE("a link numbers its attempts from 1", "[inheritance]") {
  stage s;
  std::vector<unsigned> own;
  std::vector<unsigned> links;
  hf::ledger ledger;
  s.play([&]() -> asio::awaitable<void> {
    const auto guard = hf::pipeline().with(at_once(2)).fallback(
        hf::resilient(failing{&links}).with(at_once(2)).with(hf::hedge({.delay = 1h})));
    const auto r = co_await guard(failing{&own}, {.ledger = &ledger});
    CHECK(r.error().attempts() == 2);
  });
  CHECK(own == std::vector<unsigned>{1, 2});
  CHECK(links == std::vector<unsigned>{1, 2, 3, 4});
  CHECK(numbers_in(ledger) == std::vector<unsigned>{1, 2, 1, 2, 3, 4});
}

// Budgets.

namespace {

std::uint64_t calls_counted(auto make, unsigned operations) {
  stage s;
  const hf::retry_budget budget({.ratio = 1.0});
  std::vector<unsigned> numbers;
  const auto guard = make(budget);
  s.play([&]() -> asio::awaitable<void> {
    for (unsigned i = 0; i < operations; ++i) {
      static_cast<void>(co_await guard(failing{&numbers}));
    }
  });
  return budget.snapshot(s.time.now()).calls_in_window;
}

}  // namespace

TEST_CASE("an operation counts once in a budget, whatever shares it", "[inheritance]") {
  const auto retry = [](const hf::retry_budget& b, unsigned attempts = 2) {
    auto r = at_once(attempts);
    r.budget = b;
    return r;
  };
  SECTION("a retry below a hedge, both with it") {
    CHECK(calls_counted(
              [&](const hf::retry_budget& b) {
                return hf::pipeline().with(retry(b)).with(hf::hedge({.delay = 0s, .budget = b}));
              },
              10) == 10);
  }
  SECTION("a retry below a hedge without it") {
    CHECK(calls_counted(
              [&](const hf::retry_budget& b) {
                return hf::pipeline().with(retry(b)).with(hf::hedge({.delay = 0s}));
              },
              10) == 10);
  }
  SECTION("a hedge below a retry, both with it") {
    CHECK(calls_counted(
              [&](const hf::retry_budget& b) {
                return hf::pipeline()
                    .with(hf::hedge({.delay = 0s, .budget = b}))
                    .with(retry(b));
              },
              10) == 10);
  }
  SECTION("a hedge below a retry without it") {
    CHECK(calls_counted(
              [&](const hf::retry_budget& b) {
                return hf::pipeline()
                    .with(hf::hedge({.delay = 0s, .budget = b}))
                    .with(at_once(3));
              },
              10) == 10);
  }
  SECTION("a fallback around a hedge around a retry") {
    CHECK(calls_counted(
              [&](const hf::retry_budget& b) {
                return hf::pipeline()
                    .with(retry(b))
                    .with(hf::hedge({.delay = 0s}))
                    .fallback(1, {.budget = b});
              },
              10) == 10);
  }
  SECTION("a link that retries out of the budget of the call that it stands in for") {
    CHECK(calls_counted(
              [&](const hf::retry_budget& b) {
                return hf::pipeline().with(retry(b)).fallback(
                    hf::resilient([]() -> asio::awaitable<int> { co_return 1; }).with(retry(b)));
              },
              10) == 10);
  }
  SECTION("a link that alone retries out of a budget counts its own calls") {
    CHECK(calls_counted(
              [&](const hf::retry_budget& b) {
                return hf::pipeline().with(at_once(2)).fallback(
                    hf::resilient([]() -> asio::awaitable<int> { co_return 1; }).with(retry(b)));
              },
              10) == 10);
  }
}

// Whose call it is.

TEST_CASE("a refresh in the background runs for the operation that began it", "[inheritance]") {
  stage s;
  struct seen_of {
    std::string tenant, tag, inner_tenant;
    std::uint64_t session = 0;
    hf::priority priority = hf::priority::normal;
  };
  std::vector<seen_of> seen;
  const hf::rate_limiter limiter{{.permits = 1000, .period = 1000h, .weighted = true}};
  const hf::bulkhead bulkhead({.limit = 10});
  unsigned in_use = 0;
  const hf::cache<int> cache({.ttl = 1s, .ttl_jitter = 0, .stale_while_revalidate = 1h});
  const bool from_parent = GENERATE(false, true);
  CAPTURE(from_parent);
  s.play([&]() -> asio::awaitable<void> {
    const auto guard = hf::pipeline().with(bulkhead).with(limiter).with(cache);
    auto call = [&](hf::call_context& ctx) -> asio::awaitable<int> {
      co_await hf::sleep_for(10ms, ctx.token());
      in_use = bulkhead.in_use();
      seen.push_back({std::string(ctx.tenant()), std::string(ctx.tag("id")), {}, ctx.session(),
                      ctx.priority()});
      co_return 1;
    };
    co_await test::expect_value(guard(call, {.cost = 100, .cache_key = "k"}));
    co_await hf::sleep_for(2s);
    {
      // Gone by the time of the refresh.
      const std::string tenant = "a tenant whose name does not fit into a string's own place";
      const hf::tag_set tags{{"id", "17 and something long enough to be elsewhere"}};
      if (from_parent) {
        const auto outer = hf::pipeline().with(hf::timeout{10s});
        auto within = [&](hf::call_context& ctx) -> asio::awaitable<hf::result<int>> {
          co_return co_await guard(
              call, {.cost = 100, .weight = 3, .cache_key = "k", .parent = &ctx});
        };
        co_await test::expect_value(outer(within, {.priority = hf::priority::critical,
                                                   .tags = &tags,
                                                   .tenant = tenant,
                                                   .session = 9}));
      } else {
        co_await test::expect_value(guard(call, {.cost = 100,
                                                 .priority = hf::priority::critical,
                                                 .weight = 3,
                                                 .tags = &tags,
                                                 .cache_key = "k",
                                                 .tenant = tenant,
                                                 .session = 9}));
      }
      CHECK(seen.size() == 1);  // the stale answer was given
    }
    co_await hf::sleep_for(1s);
  });
  REQUIRE(seen.size() == 2);
  CHECK(seen[1].tenant == "a tenant whose name does not fit into a string's own place");
  CHECK(seen[1].session == 9);
  CHECK(seen[1].tag == "17 and something long enough to be elsewhere");
  CHECK(seen[1].priority == hf::priority::critical);
  CHECK(in_use == 3);
  CHECK(limiter.snapshot(s.time.now()).available == 800);
}

TEST_CASE("a call that may not be repeated is not repeated by what it calls", "[inheritance]") {
  stage s;
  int posts = 0;
  auto post = [&]() -> asio::awaitable<hf::result<int>> {
    ++posts;
    co_return hf::failure(asio::error::connection_reset);
  };
  const auto retried = hf::pipeline().with(at_once(3));
  const auto hedged = hf::pipeline().with(hf::hedge({.delay = 0s, .max_hedges = 2}));
  SECTION("in a nested pipeline") {
    s.play([&]() -> asio::awaitable<void> {
      auto call = [&](hf::call_context& ctx) -> asio::awaitable<hf::result<int>> {
        co_return co_await retried(post, ctx);
      };
      co_await test::expect_error(hf::pipeline()(call, {.idempotent = false}));
    });
    CHECK(posts == 1);
  }
  SECTION("on a chain of its own, two levels down") {
    s.play([&]() -> asio::awaitable<void> {
      auto inner = [&](hf::call_context& ctx) -> asio::awaitable<hf::result<int>> {
        co_return co_await hedged(post, ctx);
      };
      auto call = [&](hf::call_context& ctx) -> asio::awaitable<hf::result<int>> {
        co_return co_await hf::pipeline().with(hf::timeout{1s})(
            inner, {.idempotent = true, .parent = &ctx});
      };
      const auto guard = hf::pipeline()
                             .with(hf::timeout{2s, hf::timeout_mode::detach});
      co_await test::expect_error(guard(call, {.idempotent = false}));
    });
    CHECK(posts == 1);
  }
  SECTION("below a hedge") {
    s.play([&]() -> asio::awaitable<void> {
      const auto guard = hf::pipeline().with(at_once(3)).with(hf::hedge({.delay = 0s}));
      co_await test::expect_error(guard(post, {.idempotent = false}));
    });
    CHECK(posts == 1);
  }
  SECTION("in a link, and in what that calls") {
    s.play([&]() -> asio::awaitable<void> {
      auto link = [&](hf::call_context& ctx) -> asio::awaitable<hf::result<int>> {
        co_return co_await retried(post, ctx);
      };
      const auto guard = hf::pipeline().fallback(hf::resilient(link).with(at_once(3)));
      auto refused = []() -> asio::awaitable<hf::result<int>> {
        co_return hf::failure(asio::error::connection_refused);
      };
      co_await test::expect_error(guard(refused, {.idempotent = false}));
    });
    CHECK(posts == 1);
  }
  SECTION("within a link's own hedge") {
    s.play([&]() -> asio::awaitable<void> {
      const auto guard =
          hf::pipeline().fallback(hf::resilient(post).with(hf::hedge({.delay = 0s})));
      auto refused = []() -> asio::awaitable<hf::result<int>> {
        co_return hf::failure(asio::error::connection_refused);
      };
      co_await test::expect_error(guard(refused, {.idempotent = false}));
    });
    CHECK(posts == 1);
  }
}

TEST_CASE("a pipeline says for all its operations that they may not be repeated",
          "[inheritance]") {
  stage s;
  int posts = 0;
  auto post = [&]() -> asio::awaitable<hf::result<int>> {
    ++posts;
    co_return hf::failure(asio::error::connection_reset);
  };
  SECTION("whatever the call says") {
    s.play([&]() -> asio::awaitable<void> {
      const auto guard = hf::pipeline().with(at_once(3)).idempotent(false);
      co_await test::expect_error(guard(post, {.idempotent = true}));
    });
  }
  SECTION("wherever in the line it does") {
    s.play([&]() -> asio::awaitable<void> {
      const auto guard = hf::pipeline()
                             .idempotent(false)
                             .with(at_once(3))
                             .with(hf::hedge({.delay = 0s}))
                             .classify(hf::default_classifier())
                             .with(hf::timeout{1s});
      co_await test::expect_error(guard(post));
    });
  }
  SECTION("and so does a chain") {
    s.play([&]() -> asio::awaitable<void> {
      co_await test::expect_error(
          hf::resilient(post).with(at_once(3)).idempotent(false).run());
    });
  }
  SECTION("for a link, whose chain says so alone") {
    auto call = []() -> asio::awaitable<hf::result<int>> {
      co_return hf::failure(asio::error::connection_reset);
    };
    s.play([&]() -> asio::awaitable<void> {
      const auto guard = hf::pipeline().with(at_once(2)).fallback(
          hf::resilient(post).with(at_once(3)).idempotent(false));
      const auto r = co_await guard(call);
      CHECK(r.error().attempts() == 2);
    });
  }
  SECTION("for what its calls nest") {
    const auto nested = hf::pipeline().with(at_once(3));
    auto call = [&](hf::call_context& ctx) -> asio::awaitable<hf::result<int>> {
      CHECK_FALSE(ctx.idempotent());
      co_return co_await nested(post, ctx);
    };
    s.play([&]() -> asio::awaitable<void> {
      co_await test::expect_error(hf::pipeline().idempotent(false)(call));
    });
  }
  CHECK(posts == 1);
}

TEST_CASE("what a pipeline says last of repeating counts, also below a hedge", "[inheritance]") {
  stage s;
  std::vector<unsigned> numbers;
  s.play([&]() -> asio::awaitable<void> {
    const auto careful = hf::pipeline().with(at_once(2)).idempotent(false);
    const auto guard = careful.with(hf::hedge({.delay = 1h})).idempotent(true);
    co_await test::expect_error(guard(failing{&numbers}));
  });
  CHECK(numbers.size() == 4);
}
