// SPDX-License-Identifier: BSL-1.0
// The bulkhead in pipelines, in virtual time: orders, weights, changes under load, closing.
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/detail/make_layer.hpp>
#include <optional>
#include <string>
#include <vector>

#include "../support/stage.hpp"

using namespace std::chrono_literals;
using namespace test;
using hf::errc;
using hf::priority;
using hf::queue_order;

namespace {

asio::awaitable<int> second_long(hf::call_context& ctx) {
  co_await hf::sleep_for(1s, ctx.token());
  co_return 1;
}

/// Operations around one bulkhead, and how they ended.
struct counter {
  explicit counter(hf::bulkhead_options o) : bulkhead(std::move(o)) {}

  void start(std::string name, hf::call_options options = {}) {
    s.start([this, name = std::move(name), options]() -> asio::awaitable<void> {
      const hf::result<int> r = co_await hf::pipeline().with(bulkhead)(second_long, options);
      ended.push_back(name + (r ? "" : ":" + std::string(to_string(code_of(r)))));
    });
    s.time.poll();
  }
  static errc code_of(const hf::result<int>& r) {
    return static_cast<errc>(r.error().code().value());
  }

  hf::bulkhead bulkhead;
  stage s;
  std::vector<std::string> ended;
};

using names = std::vector<std::string>;

}  // namespace

TEST_CASE("bulkhead: the newest first", "[bulkhead]") {
  counter c({.limit = 1, .queue = 2, .order = queue_order::lifo});
  for (const char* n : {"a", "b", "c", "d"}) c.start(n);
  c.s.run();
  CHECK(c.ended == names{"b:bulkhead_full", "a", "d", "c"});
  CHECK(c.bulkhead.snapshot().evicted == 1);
}

TEST_CASE("bulkhead: the most important first, and the least important gives way", "[bulkhead]") {
  counter c({.limit = 1, .queue = 2, .order = queue_order::priority});
  c.start("first");
  c.start("background", {.priority = priority::background});
  c.start("normal");
  c.start("high", {.priority = priority::high});
  c.start("low", {.priority = priority::low});
  c.s.run();
  CHECK(c.ended == names{"background:shed", "low:bulkhead_full", "first", "high", "normal"});
  const auto s = c.bulkhead.snapshot();
  CHECK(s.evicted == 1);
  CHECK(s.found_full == 1);
  CHECK(s.refused == 2);
}

TEST_CASE("bulkhead: an eviction says who and why", "[bulkhead]") {
  stage s;
  const hf::bulkhead bulkhead(
      {.name = "db", .limit = 1, .queue = 1, .order = queue_order::priority});
  const auto pipe = hf::pipeline().with(bulkhead);
  std::optional<hf::failure> why;
  const auto one = [&](hf::call_options options) {
    s.start([&, options]() -> asio::awaitable<void> {
      const auto r = co_await pipe(second_long, options);
      if (!r) why = r.error();
    });
    s.time.poll();
  };
  one({});
  one({.priority = priority::low});
  one({.priority = priority::high});
  REQUIRE(why);
  CHECK(why->code() == errc::shed);
  CHECK(why->code() == hf::condition::rejected);
  CHECK(why->policy() == hf::policy_kind::bulkhead);
  CHECK(why->policy_name() == "db");
  CHECK(why->attempts() == 0);
  CHECK(s.time.now() == s.began);  // at once
  s.run();
}

TEST_CASE("bulkhead: priority, tenant and session come from the parent unless the call has its own",
          "[bulkhead]") {
  stage s;
  const auto inner = hf::pipeline();
  std::vector<std::string> seen;
  const auto note = [&](const hf::call_context& ctx) -> asio::awaitable<int> {
    seen.push_back(std::string(to_string(ctx.priority())) + "/" + std::string(ctx.tenant()) + "/" +
                   std::to_string(ctx.session()));
    co_return 1;
  };
  const auto call = [&](hf::call_context& ctx) -> asio::awaitable<int> {
    std::ignore = co_await inner(note, ctx);
    std::ignore = co_await inner(note, {.priority = priority::low, .parent = &ctx});
    std::ignore = co_await inner(note, {.parent = &ctx, .session = 9});
    // A chain of its own, with a fallback that runs as a link.
    std::ignore = co_await hf::pipeline()
                      .with(hf::timeout{.after = 1s, .mode = hf::timeout_mode::detach})
                      .fallback(note)(
                          [&](const hf::call_context& c) -> asio::awaitable<int> {
                            std::ignore = co_await note(c);
                            throw std::runtime_error("down");
                          },
                          ctx);
    co_return 1;
  };
  s.play([&]() -> asio::awaitable<void> {
    std::ignore = co_await inner(
        call, {.priority = priority::high, .tenant = "acme", .session = 7});
    std::ignore = co_await inner(note);
  });
  CHECK(seen == names{"high/acme/7", "low/acme/7", "high//9", "high/acme/7", "high/acme/7",
                      "normal//0"});
}

TEST_CASE("bulkhead: an attempt left behind still knows its tenant", "[bulkhead]") {
  stage s;
  std::string seen;
  const auto stubborn = [&](const hf::call_context& ctx) -> asio::awaitable<int> {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await hf::sleep_for(5s);
    seen = std::string(ctx.tenant()) + std::to_string(ctx.session());
    co_return 1;
  };
  s.play([&]() -> asio::awaitable<void> {
    const auto pipe =
        hf::pipeline().with(hf::timeout{.after = 1s, .mode = hf::timeout_mode::detach});
    std::string tenant = "a tenant whose name is long enough not to be small";
    hf::result<int> r = co_await pipe(stubborn, {.tenant = tenant, .session = 5});
    CHECK(r.error().code() == errc::attempt_timeout);
    tenant.assign(100, 'x');
  });
  CHECK(seen == "a tenant whose name is long enough not to be small5");
}

TEST_CASE("bulkhead: weights", "[bulkhead]") {
  counter c({.limit = 4, .queue = 5});
  c.start("giant", {.weight = 5});
  CHECK(c.ended == names{"giant:too_heavy"});
  c.start("three", {.weight = 3});
  c.start("two", {.weight = 2});
  c.start("one");
  CHECK(c.bulkhead.in_use() == 3);
  CHECK(c.bulkhead.waiting() == 2);  // "one" would fit, and does not overtake
  c.s.run();
  CHECK(c.ended == names{"giant:too_heavy", "three", "two", "one"});
  CHECK(c.s.elapsed() == 2s);
  CHECK(c.bulkhead.in_use() == 0);
  CHECK(c.bulkhead.snapshot().too_heavy == 1);
}

TEST_CASE("bulkhead: a fallback's link weighs what its operation weighs", "[bulkhead]") {
  stage s;
  const hf::bulkhead second({.limit = 10});
  const auto fails = []() -> asio::awaitable<int> {
    throw std::runtime_error("down");
    co_return 0;
  };
  const auto pipe = hf::pipeline().fallback(hf::resilient(second_long).with(second));
  s.start([&]() -> asio::awaitable<void> {
    const auto r = co_await pipe(fails, {.weight = 4});
    CHECK(r.has_value());
  });
  s.time.poll();
  CHECK(second.in_use() == 4);
  s.run();
  CHECK(second.in_use() == 0);
}

TEST_CASE("bulkhead: the snapshot tells how long operations waited", "[bulkhead]") {
  counter c({.limit = 1, .queue = 10, .max_queue_time = 3500ms});
  for (const char* n : {"a", "b", "c", "d", "e"}) c.start(n);
  c.s.run();
  CHECK(c.ended == names{"a", "b", "c", "e:bulkhead_full", "d"});
  const auto s = c.bulkhead.snapshot();
  CHECK(s.queued == 3);
  CHECK(s.queue_time_max == 3s);
  CHECK(s.queue_time_p50 >= 2s);
  CHECK(s.queue_time_p50 <= 2500ms);
  CHECK(s.queue_time_p99 == 3s);
  CHECK(s.expired == 1);
  CHECK(s.in_use == 0);
  CHECK(s.limit == 1);
}

TEST_CASE("bulkhead: codel in a pipeline", "[bulkhead]") {
  counter c({.limit = 1, .queue = 10, .order = queue_order::codel});
  c.start("a");
  c.start("b");
  c.start("c");
  c.s.time.run_for(100ms);
  CHECK(c.ended == names{"b:bulkhead_full", "c:bulkhead_full"});
  c.start("d");  // the queue was empty
  c.s.time.run_for(50ms);
  c.start("e");
  c.s.time.run_for(49ms);
  c.start("f");
  c.s.time.run_for(1ms);
  CHECK(c.ended.size() == 3);  // "d"; "e" keeps the queue from being empty
  c.start("g");  // not empty for 100 ms now
  c.s.time.run_for(5ms);
  CHECK(c.ended.back() == "g:bulkhead_full");
  c.s.run();
  CHECK(c.bulkhead.in_use() == 0);
}

TEST_CASE("bug 30: the limit is raised and lowered under load", "[conformance]") {
  counter c({.limit = 2, .queue = 100});
  for (int i = 0; i < 12; ++i) c.start(std::to_string(i));
  CHECK(c.bulkhead.in_use() == 2);
  c.s.time.run_for(500ms);
  c.bulkhead.resize(5);
  c.s.time.poll();
  CHECK(c.bulkhead.in_use() == 5);  // at once, not with the next call that ends
  CHECK(c.bulkhead.waiting() == 7);
  c.s.time.run_for(250ms);
  c.bulkhead.resize(1);
  CHECK(c.bulkhead.in_use() == 5);
  c.s.time.run_for(250ms);
  CHECK(c.ended.size() == 2);
  CHECK(c.bulkhead.in_use() == 3);  // nobody new
  c.s.time.run_for(499ms);
  CHECK(c.bulkhead.in_use() == 3);
  c.s.time.run_for(1ms);
  CHECK(c.ended.size() == 5);
  CHECK(c.bulkhead.in_use() == 1);  // served goes on
  c.bulkhead.resize(3);
  c.s.time.poll();
  CHECK(c.bulkhead.in_use() == 3);
  c.s.run();
  CHECK(c.ended.size() == 12);
  CHECK(c.bulkhead.refused() == 0);
  CHECK(c.bulkhead.in_use() == 0);
  CHECK(c.bulkhead.limit() == 3);
  CHECK(c.bulkhead.core()->try_acquire(3));
  CHECK_FALSE(c.bulkhead.core()->try_acquire());
  c.bulkhead.core()->release(3);
}

TEST_CASE("bug 30: a limit below the weight of those who wait refuses them", "[conformance]") {
  counter c({.limit = 4, .queue = 10});
  c.start("holder", {.weight = 4});
  c.start("heavy", {.weight = 3});
  c.start("light");
  c.bulkhead.resize(2);
  c.s.time.poll();
  CHECK(c.ended == names{"heavy:too_heavy"});
  c.s.run();
  CHECK(c.ended == names{"heavy:too_heavy", "holder", "light"});
  CHECK(c.bulkhead.in_use() == 0);
}

TEST_CASE("bulkhead: new options under load", "[bulkhead]") {
  counter c({.limit = 1, .queue = 10});
  c.start("first");
  c.start("low", {.priority = priority::low});
  c.start("high", {.priority = priority::high});
  CHECK_THROWS_AS(c.bulkhead.reconfigure({.limit = 0}), hf::invalid_options);
  c.bulkhead.reconfigure({.limit = 1, .queue = 2, .order = queue_order::priority});
  c.start("late");  // takes the place of "low"
  c.s.run();
  CHECK(c.ended == names{"low:shed", "first", "high", "late"});
  CHECK(hf::pipeline().with(c.bulkhead).describe() ==
        "bulkhead '': at most 1 at once, 2 may wait, by priority\n");
}

TEST_CASE("bulkhead: closing refuses who comes and who waits, and drain waits for the others",
          "[bulkhead]") {
  counter c({.limit = 2, .queue = 10});
  for (const char* n : {"a", "b", "c"}) c.start(n);
  c.s.time.run_for(300ms);
  std::optional<hf::duration> drained;
  c.s.start([&]() -> asio::awaitable<void> {
    co_await c.bulkhead.drain();
    drained = c.s.elapsed();
    co_await c.bulkhead.drain();  // nothing is left to wait for
  });
  c.s.time.poll();
  CHECK(c.ended == names{"c:shutting_down"});
  c.start("d");
  CHECK(c.ended == names{"c:shutting_down", "d:shutting_down"});
  CHECK_FALSE(drained);
  c.s.run();
  CHECK(c.ended == names{"c:shutting_down", "d:shutting_down", "a", "b"});
  CHECK(drained == 1s);
  CHECK(c.bulkhead.snapshot().shut_out == 2);
  CHECK(c.bulkhead.snapshot().closed);
}

TEST_CASE("bulkhead: a drain that is cancelled, or times out, leaves the bulkhead closed",
          "[bulkhead]") {
  counter c({.limit = 2});
  c.start("a");
  SECTION("cancelled") {
    asio::cancellation_signal stop;
    std::optional<boost::system::error_code> code;
    c.bulkhead.drain(asio::bind_executor(
        c.s.context, asio::bind_cancellation_slot(
                         stop.slot(), [&](boost::system::error_code ec) { code = ec; })));
    c.s.time.run_for(200ms);
    CHECK_FALSE(code);
    stop.emit(asio::cancellation_type::total);
    c.s.time.poll();
    REQUIRE(code);
    CHECK(*code == asio::error::operation_aborted);
  }
  SECTION("in a pipeline with a timeout") {
    c.s.start([&]() -> asio::awaitable<void> {
      const auto r = co_await hf::pipeline().with(hf::timeout{200ms})(
          [&](auto token) { return c.bulkhead.drain(std::move(token)); });
      CHECK(r.error().code() == errc::attempt_timeout);
      CHECK(c.s.elapsed() == 200ms);
    });
    c.s.time.run_for(200ms);
  }
  CHECK(c.bulkhead.in_use() == 1);
  c.start("b");
  CHECK(c.ended == names{"b:shutting_down"});
  c.s.run();
}

TEST_CASE("bulkhead: a drain whose context goes away leaves nothing", "[bulkhead]") {
  const hf::bulkhead shared({.limit = 2});
  REQUIRE(shared.core()->try_acquire());
  bool resumed = false;
  {
    stage s;
    s.start([&]() -> asio::awaitable<void> {
      hf::bulkhead handle = shared;
      co_await handle.drain();
      resumed = true;
    });
    s.time.run_for(1s);
  }
  CHECK_FALSE(resumed);
  shared.core()->release();  // would touch what has gone
  CHECK(shared.in_use() == 0);
}

TEST_CASE("bulkhead: every form of the queue prints itself", "[bulkhead]") {
  const auto print = [](hf::bulkhead_options o) {
    return hf::pipeline().with(hf::bulkhead(std::move(o))).describe();
  };
  CHECK(print({.limit = 3, .queue = 2, .order = queue_order::lifo}) ==
        "bulkhead '': at most 3 at once, 2 may wait, newest first\n");
  CHECK(print({.limit = 3, .queue = 2, .max_queue_time = 1s, .order = queue_order::priority}) ==
        "bulkhead '': at most 3 at once, 2 may wait for 1s, by priority\n");
  CHECK(print({.limit = 3, .queue = 2, .order = queue_order::codel}) ==
        "bulkhead '': at most 3 at once, 2 may wait, codel 100ms for 5ms in a standing queue\n");
  for (const auto o : {queue_order::fifo, queue_order::lifo, queue_order::priority,
                       queue_order::codel, static_cast<queue_order>(99)}) {
    CHECK((to_string(o) == "unknown") == (o == static_cast<queue_order>(99)));
  }
  CHECK(to_string(priority::background) == "background");
  CHECK(to_string(static_cast<priority>(77)) == "unknown");
}

TEST_CASE("bulkhead: the new options out of range are refused", "[bulkhead]") {
  const auto faults = [](hf::bulkhead_options o) {
    try {
      const hf::bulkhead b(std::move(o));
    } catch (const hf::invalid_options& e) {
      return e.faults();
    }
    return std::vector<std::string>();
  };
  CHECK(faults({.limit = 1'000'000'001}) ==
        names{"limit = 1000000001: must be at most 1000000000"});
  CHECK(faults({.queue = 1'000'000'001}).size() == 1);
  CHECK(faults({.codel_target = 0s}) == names{"codel_target = 0s: must be at least 1ns"});
  CHECK(faults({.codel_interval = 4ms}) == names{"codel_interval = 4ms: must be at least 5ms"});
}
