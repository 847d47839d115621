// SPDX-License-Identifier: BSL-1.0
// The bulkhead's core by hand. Waits are opened but never suspended on, so nothing is ever run.
#include <boost/asio/io_context.hpp>
#include <catch2/catch_all.hpp>
#include <deque>
#include <holdfast/detail/bulkhead_core.hpp>
#include <holdfast/detail/operation.hpp>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "../support/customer.hpp"
#include "../support/seed.hpp"

namespace hf = holdfast;
namespace asio = boost::asio;
using hf::detail::admission;
using hf::detail::bulkhead_core;
using test::customer;
TEST_CASE("permits are given up to the limit and come back", "[bulkhead]") {
  bulkhead_core core({.limit = 2});
  CHECK(core.try_acquire());
  CHECK(core.try_acquire());
  CHECK(core.in_use() == 2);
  CHECK_FALSE(core.try_acquire());
  core.release();
  CHECK(core.in_use() == 1);
  CHECK(core.try_acquire());
  core.release();
  core.release();
  CHECK(core.in_use() == 0);
  CHECK(core.waiting() == 0);
}

TEST_CASE("without a queue a full bulkhead refuses at once", "[bulkhead]") {
  asio::io_context context{1};
  bulkhead_core core({.limit = 1});
  REQUIRE(core.try_acquire());
  customer c(context);
  CHECK(c.ask(core) == admission::refused);
  CHECK(c.place == nullptr);
  core.release();
  CHECK(c.ask(core) == admission::granted);
  core.release();
  CHECK(core.in_use() == 0);
}

TEST_CASE("the queue is first in first out and bounded", "[bulkhead]") {
  asio::io_context context{1};
  bulkhead_core core({.limit = 1, .queue = 2});
  REQUIRE(core.try_acquire());
  customer a(context);
  customer b(context);
  customer c(context);
  CHECK(a.ask(core) == admission::queued);
  CHECK(b.ask(core) == admission::queued);
  CHECK(c.ask(core) == admission::refused);
  CHECK(core.waiting() == 2);
  core.release();
  CHECK(a.granted());
  CHECK_FALSE(b.granted());
  CHECK(core.in_use() == 1);
  CHECK(core.waiting() == 1);
  CHECK(c.ask(core) == admission::queued);
  CHECK(a.finish() == hf::detail::wait_end::granted);
  core.release();
  CHECK(b.granted());
  core.release();
  CHECK(c.granted());
  core.release();
  CHECK(core.in_use() == 0);
  CHECK(core.waiting() == 0);
}

TEST_CASE("nobody overtakes the queue", "[bulkhead]") {
  asio::io_context context{1};
  bulkhead_core core({.limit = 1, .queue = 2});
  REQUIRE(core.try_acquire());
  customer a(context);
  REQUIRE(a.ask(core) == admission::queued);
  CHECK_FALSE(core.try_acquire());
  core.release();  // goes to `a`, never through the free state
  CHECK_FALSE(core.try_acquire());
  CHECK(core.in_use() == 1);
}

TEST_CASE("who leaves the queue is skipped; a permit given meanwhile goes on", "[bulkhead]") {
  asio::io_context context{1};
  bulkhead_core core({.limit = 1, .queue = 3});
  REQUIRE(core.try_acquire());
  customer a(context);
  customer b(context);
  customer c(context);
  for (auto* x : {&a, &b, &c}) REQUIRE(x->ask(core) == admission::queued);
  SECTION("from the middle") {
    core.abandon(*b.place);
    CHECK(core.waiting() == 2);
    core.release();
    CHECK(a.granted());
    core.release();
    CHECK(c.granted());
    CHECK_FALSE(b.granted());
    core.release();
  }
  SECTION("with the permit in hand") {
    core.release();
    REQUIRE(a.granted());
    core.abandon(*a.place);
    CHECK(b.granted());
    CHECK(core.in_use() == 1);
    core.release();
    core.release();
  }
  SECTION("twice is once") {
    core.abandon(*a.place);
    core.abandon(*a.place);
    CHECK(core.waiting() == 2);
    core.release();
    CHECK(b.granted());
    core.release();
    core.release();
  }
  SECTION("everybody: the permit is free again") {
    for (auto* x : {&a, &b, &c}) core.abandon(*x->place);
    CHECK(core.waiting() == 0);
    core.release();
    CHECK(core.in_use() == 0);
    REQUIRE(core.try_acquire());
    core.release();
  }
  CHECK(core.in_use() == 0);
  CHECK(core.waiting() == 0);
}

TEST_CASE("a wait that has ended otherwise is passed over", "[bulkhead]") {
  asio::io_context context{1};
  bulkhead_core core({.limit = 1, .queue = 3});
  REQUIRE(core.try_acquire());
  customer a(context);
  customer b(context);
  REQUIRE(a.ask(core) == admission::queued);
  REQUIRE(b.ask(core) == admission::queued);
  CHECK(a.finish() == hf::detail::wait_end::elapsed);  // resumed, but not yet out of the queue
  core.release();
  CHECK(b.granted());
  CHECK(core.in_use() == 1);
  core.abandon(*a.place);
  CHECK(core.waiting() == 0);
  CHECK(core.in_use() == 1);
  core.release();
  CHECK(core.in_use() == 0);
}

TEST_CASE("bulkhead model check", "[bulkhead]") {
  const test::seed seed(GENERATE(range(1u, 41u)));
  std::mt19937_64 random(seed);
  asio::io_context context{1};
  const auto limit = static_cast<unsigned>(1 + random() % 4);
  const auto queue = static_cast<unsigned>(random() % 5);
  bulkhead_core core({.limit = limit, .queue = queue});
  std::vector<std::unique_ptr<customer>> customers;
  for (int i = 0; i < 12; ++i) customers.push_back(std::make_unique<customer>(context));
  std::vector<customer*> idle;
  for (auto& c : customers) idle.push_back(c.get());
  std::vector<customer*> holding;
  std::deque<customer*> waiting;

  const auto take = [&](auto& from) {
    const auto i = static_cast<std::ptrdiff_t>(random() % from.size());
    customer* c = from[static_cast<std::size_t>(i)];
    from.erase(from.begin() + i);
    return c;
  };
  const auto promote = [&] {  // what a permit that comes back causes
    if (waiting.empty()) return;
    customer* c = waiting.front();
    waiting.pop_front();
    REQUIRE(c->granted());
    REQUIRE(c->finish() == hf::detail::wait_end::granted);
    holding.push_back(c);
  };
  for (int i = 0; i < 3000; ++i) {
    switch (random() % 4) {
      case 0:
      case 1: {
        if (idle.empty()) break;
        customer* c = take(idle);
        const auto got = core.try_acquire() ? admission::granted : c->ask(core);
        const auto expected = holding.size() < limit    ? admission::granted
                              : waiting.size() < queue ? admission::queued
                                                       : admission::refused;
        REQUIRE(got == expected);
        if (got == admission::granted) holding.push_back(c);
        if (got == admission::queued) waiting.push_back(c);
        if (got == admission::refused) idle.push_back(c);
        break;
      }
      case 2: {
        if (holding.empty()) break;
        idle.push_back(take(holding));
        core.release();
        promote();
        break;
      }
      case 3: {
        if (waiting.empty()) break;
        customer* c = take(waiting);
        REQUIRE(c->finish() == hf::detail::wait_end::elapsed);
        core.abandon(*c->place);
        idle.push_back(c);
        break;
      }
    }
    REQUIRE(core.in_use() == holding.size());
    REQUIRE(core.waiting() == waiting.size());
    for (customer* c : waiting) REQUIRE_FALSE(c->granted());
  }
  while (!holding.empty()) {
    take(holding);
    core.release();
    promote();
  }
  CHECK(core.in_use() == 0);
}

TEST_CASE("threads never hold more permits than the limit", "[bulkhead][threads]") {
  // Real threads.
  constexpr unsigned limit = 3;
  bulkhead_core core({.limit = limit});
  std::atomic<unsigned> held{0};
  std::atomic<bool> exceeded{false};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 20'000; ++i) {
          if (!core.try_acquire()) continue;
          if (held.fetch_add(1) >= limit) exceeded = true;
          held.fetch_sub(1);
          core.release();
        }
      });
    }
  }
  CHECK_FALSE(exceeded);
  CHECK(core.in_use() == 0);
}

TEST_CASE("refusals are counted", "[bulkhead]") {
  bulkhead_core core({.name = "db", .limit = 1});
  using reason = bulkhead_core::refusal_reason;
  CHECK(core.refused() == 0);
  core.count_refusal(reason::full);
  core.count_refusal(reason::full);
  core.count_refusal(reason::expired);
  core.count_refusal(reason::evicted);
  core.count_refusal(reason::too_heavy);
  core.count_refusal(reason::closed);
  CHECK(core.refused() == 6);
  const auto s = core.snapshot();
  CHECK(s.refused == 6);
  CHECK(s.found_full == 2);
  CHECK(s.expired == 1);
  CHECK(s.evicted == 1);
  CHECK(s.too_heavy == 1);
  CHECK(s.shut_out == 1);
  CHECK(core.name() == "db");
}
