// SPDX-License-Identifier: BSL-1.0
// The orders of the bulkhead's queue, weights, a change of the limit, closing. By hand: waits are
// opened but never suspended on, so nothing is ever run.
#include <boost/asio/io_context.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/detail/bulkhead_core.hpp>
#include <holdfast/invalid_options.hpp>
#include <memory>
#include <random>
#include <vector>

#include "../support/customer.hpp"

namespace hf = holdfast;
namespace asio = boost::asio;
using namespace std::chrono_literals;
using hf::errc;
using hf::priority;
using hf::queue_order;
using hf::detail::admission;
using hf::detail::bulkhead_core;
using test::customer;

namespace {

hf::time_point at(hf::duration d) { return hf::time_point(1h + d); }

}  // namespace

TEST_CASE("lifo serves the newest and lets the oldest go when the queue is full", "[bulkhead]") {
  asio::io_context context{1};
  bulkhead_core core({.limit = 1, .queue = 2, .order = queue_order::lifo});
  REQUIRE(core.try_acquire());
  customer a(context);
  customer b(context);
  customer c(context);
  CHECK(a.ask(core) == admission::queued);
  CHECK(b.ask(core) == admission::queued);
  CHECK(c.ask(core) == admission::queued);
  CHECK(a.refused_with(errc::bulkhead_full));
  CHECK(core.waiting() == 2);
  core.release();
  CHECK(c.granted());
  CHECK(b.waits());
  core.release();
  CHECK(b.granted());
  core.release();
  CHECK(core.in_use() == 0);
}

TEST_CASE("without a queue every order refuses at once", "[bulkhead]") {
  asio::io_context context{1};
  const auto order = GENERATE(queue_order::fifo, queue_order::lifo, queue_order::priority,
                              queue_order::codel);
  bulkhead_core core({.limit = 1, .order = order});
  REQUIRE(core.try_acquire());
  customer a(context, {.priority = priority::critical});
  CHECK(core.refuses_at_once(1) == admission::refused);
  CHECK(a.ask(core) == admission::refused);
  core.release();
}

TEST_CASE("the priority queue serves the most important first, in order of arrival within a class",
          "[bulkhead]") {
  asio::io_context context{1};
  bulkhead_core core({.limit = 1, .queue = 10, .order = queue_order::priority});
  REQUIRE(core.try_acquire());
  customer low1(context, {.priority = priority::low});
  customer normal1(context);
  customer critical(context, {.priority = priority::critical});
  customer normal2(context, {.priority = priority::normal});
  customer low2(context, {.priority = priority::low});
  for (auto* c : {&low1, &normal1, &critical, &normal2, &low2}) {
    REQUIRE(c->ask(core) == admission::queued);
  }
  for (auto* c : {&critical, &normal1, &normal2, &low1, &low2}) {
    CHECK(c->waits());
    core.release();
    CHECK(c->granted());
  }
  core.release();
  CHECK(core.in_use() == 0);
}

TEST_CASE("a full priority queue lets the newest of the least important go", "[bulkhead]") {
  asio::io_context context{1};
  bulkhead_core core({.limit = 1, .queue = 3, .order = queue_order::priority});
  REQUIRE(core.try_acquire());
  customer low1(context, {.priority = priority::low});
  customer low2(context, {.priority = priority::low});
  customer normal(context);
  for (auto* c : {&low1, &low2, &normal}) REQUIRE(c->ask(core) == admission::queued);
  CHECK(core.refuses_at_once(1) == admission::queued);

  customer another_low(context, {.priority = priority::low});
  CHECK(another_low.ask(core) == admission::refused);  // nobody there matters less
  customer background(context, {.priority = priority::background});
  CHECK(background.ask(core) == admission::refused);

  customer high(context, {.priority = priority::high});
  CHECK(high.ask(core) == admission::queued);
  CHECK(low2.refused_with(errc::shed));
  CHECK(low1.waits());
  customer critical(context, {.priority = priority::critical});
  CHECK(critical.ask(core) == admission::queued);
  CHECK(low1.refused_with(errc::shed));
  CHECK(core.waiting() == 3);
  // The evicted hold no permit.
  low1.finish();
  low2.finish();
  core.abandon(*low1.place);
  core.abandon(*low2.place);
  CHECK(core.in_use() == 1);
  for (auto* c : {&critical, &high, &normal}) {
    core.release();
    CHECK(c->granted());
  }
  core.release();
  CHECK(core.in_use() == 0);
}

TEST_CASE("an evicted one who is destroyed before it hears of it gives nothing back",
          "[bulkhead]") {
  asio::io_context context{1};
  bulkhead_core core({.limit = 1, .queue = 1, .order = queue_order::priority});
  REQUIRE(core.try_acquire());
  customer low(context, {.priority = priority::low});
  customer high(context, {.priority = priority::high});
  REQUIRE(low.ask(core) == admission::queued);
  REQUIRE(high.ask(core) == admission::queued);
  REQUIRE(low.refused_with(errc::shed));
  core.abandon(*low.place);  // with the wait still open, as the frame's destructor does
  CHECK(core.in_use() == 1);
  core.release();
  CHECK(high.granted());
  core.release();
  CHECK(core.in_use() == 0);
}

TEST_CASE(
    "codel: the first in the queue waits for the interval, in a standing queue for the target",
    "[bulkhead]") {
  asio::io_context context{1};
  bulkhead_core core({.limit = 1, .queue = 10, .order = queue_order::codel});
  REQUIRE(core.try_acquire());
  std::vector<std::unique_ptr<customer>> c;
  const auto arrive = [&](hf::duration d) -> customer& {
    c.push_back(std::make_unique<customer>(context));
    REQUIRE(c.back()->ask(core, at(d)) == admission::queued);
    return *c.back();
  };
  customer& first = arrive(0ms);
  CHECK(first.place->until == at(100ms));
  customer& second = arrive(50ms);
  CHECK(second.place->until == at(150ms));
  CHECK_FALSE(core.snapshot().standing_queue);
  customer& third = arrive(99ms);
  CHECK(third.place->until == at(199ms));
  customer& fourth = arrive(100ms);  // not empty for an interval
  CHECK(fourth.place->until == at(105ms));
  CHECK(core.snapshot().standing_queue);
  core.release();
  CHECK(fourth.granted());  // newest first
  CHECK(first.waits());
  customer& fifth = arrive(103ms);
  CHECK(fifth.place->until == at(108ms));
  for (customer* x : {&fifth, &third, &second, &first}) {
    core.release();
    CHECK(x->granted());
  }
  // Empty: all is as at the beginning.
  customer& sixth = arrive(120ms);
  CHECK(sixth.place->until == at(220ms));
  customer& seventh = arrive(121ms);
  core.release();
  CHECK(sixth.granted());
  core.release();
  CHECK(seventh.granted());
  core.release();
  CHECK(core.in_use() == 0);
}

TEST_CASE("codel: a standing queue that is full lets its oldest go", "[bulkhead]") {
  asio::io_context context{1};
  bulkhead_core core({.limit = 1, .queue = 1, .order = queue_order::codel});
  REQUIRE(core.try_acquire());
  customer a(context);
  customer b(context);
  REQUIRE(a.ask(core, at(0ms)) == admission::queued);
  CHECK(b.ask(core, at(50ms)) == admission::refused);
  CHECK(b.ask(core, at(100ms)) == admission::queued);
  CHECK(a.refused_with(errc::bulkhead_full));
  core.abandon(*b.place);
  core.release();
  CHECK(core.in_use() == 0);
}

TEST_CASE("the wait is bounded by the deadline, the option and the order", "[bulkhead]") {
  asio::io_context context{1};
  const auto until = [&](hf::bulkhead_options o, hf::call_options call) {
    bulkhead_core core(o);
    REQUIRE(core.try_acquire());
    customer c(context, call);
    REQUIRE(c.ask(core, at(0s)) == admission::queued);
    core.abandon(*c.place);
    return c.place->until;
  };
  CHECK(until({.limit = 1, .queue = 1}, {}) == hf::never);
  CHECK(until({.limit = 1, .queue = 1}, {.deadline = at(3s)}) == at(3s));
  CHECK(until({.limit = 1, .queue = 1, .max_queue_time = 2s}, {.deadline = at(3s)}) == at(2s));
  CHECK(until({.limit = 1, .queue = 1, .max_queue_time = 2s}, {.deadline = at(1s)}) == at(1s));
  const auto codel = queue_order::codel;
  CHECK(until({.limit = 1, .queue = 1, .max_queue_time = 2s, .order = codel}, {}) == at(100ms));
  CHECK(until({.limit = 1, .queue = 1, .max_queue_time = 20ms, .order = codel}, {}) == at(20ms));
}

TEST_CASE("a call takes as many permits as it weighs", "[bulkhead]") {
  asio::io_context context{1};
  bulkhead_core core({.limit = 10, .queue = 5});
  CHECK(core.try_acquire(4));
  CHECK(core.in_use() == 4);
  CHECK_FALSE(core.try_acquire(7));
  CHECK(core.try_acquire(6));
  CHECK_FALSE(core.try_acquire());
  CHECK(core.in_use() == 10);
  core.release(4);
  core.release(6);
  CHECK(core.in_use() == 0);
  CHECK_FALSE(core.try_acquire(11));
  CHECK_FALSE(core.try_acquire(std::numeric_limits<unsigned>::max()));
  CHECK(core.refuses_at_once(11) == admission::too_heavy);
  customer giant(context, {.weight = 11});
  CHECK(giant.ask(core) == admission::too_heavy);
  CHECK(core.waiting() == 0);
}

TEST_CASE("a heavy one at the head of the queue is not overtaken", "[bulkhead]") {
  asio::io_context context{1};
  bulkhead_core core({.limit = 4, .queue = 5});
  REQUIRE(core.try_acquire(2));
  REQUIRE(core.try_acquire(2));
  customer heavy(context, {.weight = 3});
  customer light1(context);
  customer light2(context);
  customer light3(context);
  REQUIRE(heavy.ask(core) == admission::queued);
  REQUIRE(light1.ask(core) == admission::queued);
  core.release(2);
  CHECK(core.in_use() == 2);
  CHECK_FALSE(heavy.granted());
  CHECK_FALSE(light1.granted());
  CHECK_FALSE(core.try_acquire());  // nor by those who come now
  CHECK(light2.ask(core) == admission::queued);
  core.release(2);
  CHECK(heavy.granted());
  CHECK(light1.granted());
  CHECK_FALSE(light2.granted());
  SECTION("one that comes back serves several") {
    REQUIRE(light3.ask(core) == admission::queued);
    core.release(3);
    CHECK(light2.granted());
    CHECK(light3.granted());
    core.release();
  }
  SECTION("one that comes back serves one") { core.release(3); }
  core.release();
  core.release();
  CHECK(core.in_use() == 0);
}

TEST_CASE("when a heavy one leaves the queue, those it kept waiting are served", "[bulkhead]") {
  asio::io_context context{1};
  bulkhead_core core({.limit = 4, .queue = 5});
  REQUIRE(core.try_acquire(2));
  customer heavy(context, {.weight = 3});
  customer light(context);
  REQUIRE(heavy.ask(core) == admission::queued);
  REQUIRE(light.ask(core) == admission::queued);
  core.abandon(*heavy.place);
  CHECK(light.granted());
  CHECK(core.waiting() == 0);
  core.release();
  core.release(2);
  CHECK(core.in_use() == 0);
}

TEST_CASE("who comes first takes what a heavy one behind him cannot use", "[bulkhead]") {
  asio::io_context context{1};
  bulkhead_core core({.limit = 4, .queue = 5, .order = queue_order::priority});
  REQUIRE(core.try_acquire(2));
  customer heavy(context, {.priority = priority::low, .weight = 3});
  REQUIRE(heavy.ask(core) == admission::queued);
  customer equal(context, {.priority = priority::low});
  CHECK(equal.ask(core) == admission::queued);
  customer important(context, {.priority = priority::high});
  CHECK(important.ask(core) == admission::granted);
  core.release();
  core.release(2);
  CHECK(heavy.granted());
  CHECK(equal.granted());
  core.release(3);
  core.release();
  CHECK(core.in_use() == 0);
}

TEST_CASE("a higher limit admits those who wait, a lower one lets the holders finish",
          "[bulkhead]") {
  asio::io_context context{1};
  bulkhead_core core({.limit = 2, .queue = 10});
  REQUIRE(core.try_acquire());
  REQUIRE(core.try_acquire());
  customer a(context);
  customer b(context);
  customer c(context);
  for (auto* x : {&a, &b, &c}) REQUIRE(x->ask(core) == admission::queued);
  core.resize(4);
  CHECK(core.limit() == 4);
  CHECK(a.granted());
  CHECK(b.granted());
  CHECK(c.waits());
  CHECK(core.in_use() == 4);
  core.resize(1);
  CHECK(core.limit() == 1);
  CHECK(core.in_use() == 4);  // the holders finish
  for (int i = 0; i < 3; ++i) {
    core.release();
    CHECK(c.waits());
    CHECK_FALSE(core.try_acquire());
  }
  core.release();
  CHECK(c.granted());
  CHECK(core.in_use() == 1);
  core.release();
  CHECK(core.in_use() == 0);
  CHECK(core.try_acquire());
  CHECK_FALSE(core.try_acquire());
  core.release();
  CHECK_THROWS_AS(core.resize(0), hf::invalid_options);
  CHECK_THROWS_AS(core.resize(2'000'000'000), hf::invalid_options);
  CHECK(core.limit() == 1);
}

TEST_CASE("those who wait and weigh more than a lowered limit are refused", "[bulkhead]") {
  asio::io_context context{1};
  bulkhead_core core({.limit = 4, .queue = 10});
  REQUIRE(core.try_acquire(4));
  customer heavy(context, {.weight = 3});
  customer light(context, {.weight = 2});
  customer heavier(context, {.weight = 4});
  for (auto* x : {&heavy, &light, &heavier}) REQUIRE(x->ask(core) == admission::queued);
  core.resize(2);
  CHECK(heavy.refused_with(errc::too_heavy));
  CHECK(heavier.refused_with(errc::too_heavy));
  CHECK(light.waits());
  CHECK(core.waiting() == 1);
  core.release(4);
  CHECK(light.granted());
  core.release(2);
  CHECK(core.in_use() == 0);
}

TEST_CASE("new options keep permits, the queue and the counters", "[bulkhead]") {
  asio::io_context context{1};
  bulkhead_core core({.name = "db", .limit = 1, .queue = 10});
  REQUIRE(core.try_acquire());
  core.count_refusal(bulkhead_core::refusal_reason::full);
  customer low(context, {.priority = priority::low});
  customer high(context, {.priority = priority::high});
  customer high2(context, {.priority = priority::high});
  REQUIRE(low.ask(core, at(0s)) == admission::queued);
  REQUIRE(high.ask(core, at(1s)) == admission::queued);
  REQUIRE(high2.ask(core, at(2s)) == admission::queued);

  CHECK_THROWS_AS(core.reconfigure({.limit = 0, .queue = 77}), hf::invalid_options);
  CHECK(core.options().queue == 10);
  CHECK(core.limit() == 1);

  core.reconfigure({.name = "other", .limit = 1, .queue = 2, .order = queue_order::priority});
  CHECK(core.name() == "db");
  CHECK(core.options().name == "db");
  CHECK(core.waiting() == 3);
  CHECK(core.in_use() == 1);
  CHECK(core.refused() == 1);
  customer another(context, {.priority = priority::low});
  CHECK(another.ask(core) == admission::refused);
  core.release();
  CHECK(high.granted());
  // Back to the order of arrival: nobody has lost the place.
  core.reconfigure({.limit = 1, .queue = 2});
  core.release();
  CHECK(low.granted());
  core.release();
  CHECK(high2.granted());
  core.release();
  CHECK(core.in_use() == 0);

  core.reconfigure({.limit = 1});
  CHECK(core.refuses_at_once(1) == admission::refused);
}

TEST_CASE("an eviction from a queue that was made shorter makes one place, not more",
          "[bulkhead]") {
  asio::io_context context{1};
  bulkhead_core core({.limit = 1, .queue = 3, .order = queue_order::lifo});
  REQUIRE(core.try_acquire());
  std::vector<std::unique_ptr<customer>> c;
  for (int i = 0; i < 4; ++i) c.push_back(std::make_unique<customer>(context));
  for (std::size_t i = 0; i < 3; ++i) REQUIRE(c[i]->ask(core) == admission::queued);
  core.reconfigure({.limit = 1, .queue = 1, .order = queue_order::lifo});
  CHECK(c[3]->ask(core) == admission::queued);
  CHECK(c[0]->refused_with(errc::bulkhead_full));
  CHECK(c[1]->waits());
  CHECK(c[2]->waits());
  CHECK(core.waiting() == 3);
  core.close();
  core.release();
}

TEST_CASE("a closed bulkhead refuses those who come and those who wait", "[bulkhead]") {
  asio::io_context context{1};
  bulkhead_core core({.limit = 2, .queue = 10});
  REQUIRE(core.try_acquire());
  REQUIRE(core.try_acquire());
  customer a(context);
  customer b(context);
  REQUIRE(a.ask(core) == admission::queued);
  REQUIRE(b.ask(core) == admission::queued);
  core.close();
  CHECK(a.refused_with(errc::shutting_down));
  CHECK(b.refused_with(errc::shutting_down));
  CHECK(core.waiting() == 0);
  CHECK(core.in_use() == 2);
  core.release();
  CHECK_FALSE(core.try_acquire());
  CHECK(core.refuses_at_once(1) == admission::closed);
  customer late(context);
  CHECK(late.ask(core) == admission::closed);
  core.close();  // twice is once
  core.release();
  CHECK(core.in_use() == 0);
  CHECK(core.snapshot().closed);
}

TEST_CASE("who waits for the end hears of it with the last permit", "[bulkhead]") {
  asio::io_context context{1};
  bulkhead_core core({.limit = 2});
  auto& time = hf::time_service::of(context.get_executor());
  std::array<hf::detail::drain_wait, 3> d;
  for (auto& w : d) w.wait.prepare(time, {});
  REQUIRE(core.try_acquire(2));
  core.join(d[0]);
  core.join(d[1]);
  CHECK_FALSE(d[0].wait.granted());
  core.close();
  CHECK_FALSE(d[0].wait.granted());
  core.leave(d[1]);
  core.leave(d[1]);
  core.resize(5);  // the limit has no say in it
  core.release();
  CHECK_FALSE(d[0].wait.granted());
  core.release();
  CHECK(d[0].wait.granted());
  CHECK_FALSE(d[1].wait.granted());
  core.join(d[2]);  // late: nothing is out
  CHECK(d[2].wait.granted());
  for (auto& w : d) w.wait.finish();
}

TEST_CASE("queue model check: weights, orders, a limit that changes", "[bulkhead]") {
  const auto seed = GENERATE(range(1U, 61U));
  std::mt19937_64 random(seed);
  const auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  asio::io_context context{1};
  unsigned limit = 1 + below(6);
  const unsigned queue = below(6);
  auto order = static_cast<queue_order>(below(3));
  bulkhead_core core({.limit = limit, .queue = queue, .order = order});
  std::vector<std::unique_ptr<customer>> all;
  for (int i = 0; i < 14; ++i) {
    all.push_back(std::make_unique<customer>(
        context, hf::call_options{.priority = static_cast<priority>(below(5)),
                                  .weight = 1 + below(4)}));
  }
  // The model: plain lists, oldest first.
  std::vector<customer*> idle;
  for (auto& c : all) idle.push_back(c.get());
  std::vector<customer*> holding;
  std::vector<customer*> waiting;
  hf::time_point now = at(0s);

  const auto held = [&] {
    unsigned sum = 0;
    for (customer* c : holding) sum += c->options.weight;
    return sum;
  };
  const auto erase = [](std::vector<customer*>& from, customer* c) {
    from.erase(std::ranges::find(from, c));
  };
  const auto take = [&](std::vector<customer*>& from) {
    customer* c = from[below(static_cast<unsigned>(from.size()))];
    erase(from, c);
    return c;
  };
  const auto next = [&]() -> customer* {
    if (waiting.empty()) return nullptr;
    if (order == queue_order::lifo) return waiting.back();
    if (order == queue_order::fifo) return waiting.front();
    return *std::ranges::min_element(waiting, {}, [](customer* c) { return *c->options.priority; });
  };
  const auto refuse = [&](customer* c, errc code) {
    REQUIRE(c->refused_with(code));
    c->finish();
    erase(waiting, c);
    idle.push_back(c);
  };
  const auto promote = [&] {
    for (customer* c = next(); c && held() + c->options.weight <= limit; c = next()) {
      REQUIRE(c->granted());
      c->finish();
      erase(waiting, c);
      holding.push_back(c);
    }
  };
  for (int i = 0; i < 3000; ++i) {
    now += 1ms;
    switch (below(10)) {
      case 0:
      case 1:
      case 2:
      case 3: {
        if (idle.empty()) break;
        customer* c = take(idle);
        const unsigned w = c->options.weight;
        const bool fits = held() + w <= limit;
        customer* n = next();
        const bool first = !n || order == queue_order::lifo ||
                           (order == queue_order::priority &&
                            *c->options.priority < *n->options.priority);
        customer* victim = nullptr;
        if (waiting.size() >= queue && queue > 0) {
          if (order == queue_order::lifo) victim = waiting.front();
          if (order == queue_order::priority) {
            victim = *std::ranges::max_element(waiting.rbegin(), waiting.rend(), {},
                                               [](customer* x) { return *x->options.priority; });
            if (*victim->options.priority <= *c->options.priority) victim = nullptr;
          }
        }
        const bool at_once = core.try_acquire(w);
        REQUIRE(at_once == (fits && waiting.empty()));
        const admission got = at_once ? admission::granted : c->ask(core, now);
        if (w > limit) {
          REQUIRE(got == admission::too_heavy);
          idle.push_back(c);
        } else if (fits && first) {
          REQUIRE(got == admission::granted);
          holding.push_back(c);
        } else if (waiting.size() >= queue && !victim) {
          REQUIRE(got == admission::refused);
          idle.push_back(c);
        } else {
          const bool alone = victim && waiting.size() == 1;
          if (victim) {
            refuse(victim, order == queue_order::priority ? errc::shed : errc::bulkhead_full);
          }
          if (alone && fits) {
            REQUIRE(got == admission::granted);
            holding.push_back(c);
          } else {
            REQUIRE(got == admission::queued);
            waiting.push_back(c);
          }
        }
        break;
      }
      case 4:
      case 5:
      case 6: {
        if (holding.empty()) break;
        customer* c = take(holding);
        idle.push_back(c);
        core.release(c->options.weight);
        promote();
        break;
      }
      case 7: {
        if (waiting.empty()) break;
        customer* c = take(waiting);
        REQUIRE(c->finish() == hf::detail::wait_end::elapsed);
        core.abandon(*c->place);
        idle.push_back(c);
        promote();
        break;
      }
      case 8: {
        limit = 1 + below(6);
        core.resize(limit);
        for (customer* c : std::vector(waiting)) {
          if (c->options.weight > limit) refuse(c, errc::too_heavy);
        }
        promote();
        break;
      }
      case 9: {
        if (below(10) != 0) break;
        order = static_cast<queue_order>(below(3));
        core.reconfigure({.limit = limit, .queue = queue, .order = order});
        promote();
        break;
      }
    }
    REQUIRE(core.in_use() == held());
    REQUIRE(core.waiting() == waiting.size());
    for (customer* c : waiting) REQUIRE(c->waits());
  }
  core.close();
  for (customer* c : std::vector(waiting)) refuse(c, errc::shutting_down);
  while (!holding.empty()) core.release(take(holding)->options.weight);
  CHECK(core.in_use() == 0);
  CHECK(core.waiting() == 0);
}
