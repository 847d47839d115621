// SPDX-License-Identifier: BSL-1.0
// Bugs that other libraries shipped, J: single flight.
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <catch2/catch_all.hpp>
#include <deque>
#include <optional>
#include <string>

#include "../support/stage.hpp"

using namespace std::chrono_literals;
using namespace test;
using hf::errc;

namespace {

struct service {
  int calls = 0;
  int running = 0;
  int peak = 0;

  struct at_work {
    explicit at_work(service& s) : owner(s) {
      ++s.calls;
      s.peak = std::max(s.peak, ++s.running);
    }
    at_work(const at_work&) = delete;
    ~at_work() { --owner.running; }
    service& owner;
  };

  auto call() {
    return [this](hf::call_context& ctx) -> asio::awaitable<int> {
      const at_work guard(*this);
      const int number = calls;
      co_await hf::sleep_for(1s, ctx.token());
      co_return number;
    };
  }
};

/// An operation of its own coroutine, to be cancelled from outside.
struct caller {
  asio::cancellation_signal cancel;
  std::optional<hf::result<int>> result;
  hf::time_point at{};
  bool ended = false;
};

template <class Pipeline>
void start(stage& s, const Pipeline& pipeline, service& svc, caller& c) {
  const auto scene = [](const Pipeline& p, service& sv, caller& own,
                        stage& st) -> asio::awaitable<void> {
    own.result.emplace(co_await p(sv.call(), {.cache_key = "q"}));
    own.at = st.time.now();
  };
  asio::co_spawn(s.context, scene(pipeline, svc, c, s),
                 asio::bind_cancellation_slot(c.cancel.slot(),
                                              [&c](std::exception_ptr) { c.ended = true; }));
}

}  // namespace

TEST_CASE("bug 55: a cancelled leader leaves no stale slot behind", "[conformance]") {
  stage s;
  service svc;
  hf::cache<int> cache;
  const auto guard = hf::pipeline().with(cache);
  caller first;
  start(s, guard, svc, first);
  s.time.run_for(500ms);
  CHECK(cache.snapshot().flights == 1);
  first.cancel.emit(asio::cancellation_type::terminal);
  s.time.run();
  CHECK(first.ended);
  CHECK(cache.snapshot().flights == 0);
  CHECK(cache.snapshot().entries == 0);  // nothing is kept of a cancellation
  caller second;
  start(s, guard, svc, second);
  s.time.run();
  REQUIRE(second.result);
  CHECK(second.result->value() == 2);
}

TEST_CASE("bug 55: a follower's cancellation does not kill the leader", "[conformance]") {
  stage s;
  service svc;
  hf::cache<int> cache;
  const auto guard = hf::pipeline().with(cache);
  std::deque<caller> callers(3);
  for (auto& c : callers) start(s, guard, svc, c);
  s.time.run_for(500ms);
  callers[1].cancel.emit(asio::cancellation_type::terminal);
  s.time.poll();
  CHECK(callers[1].ended);
  CHECK_FALSE(callers[0].ended);
  CHECK(svc.running == 1);
  s.time.run();
  for (const int i : {0, 2}) {
    REQUIRE(callers[static_cast<std::size_t>(i)].result);
    CHECK(callers[static_cast<std::size_t>(i)].result->value() == 1);
  }
  CHECK(svc.calls == 1);
  CHECK(cache.snapshot().entries == 1);
}

TEST_CASE("bug 55: a dead leader makes one follower call, not all", "[conformance]") {
  stage s;
  service svc;
  hf::cache<int> cache;
  const auto guard = hf::pipeline().with(cache);
  std::deque<caller> callers(50);
  for (auto& c : callers) start(s, guard, svc, c);
  s.time.run_for(500ms);
  callers[0].cancel.emit(asio::cancellation_type::terminal);
  s.time.run_for(500ms);
  CHECK(svc.calls == 2);
  callers[1].cancel.emit(asio::cancellation_type::terminal);
  s.time.run();
  CHECK(svc.calls == 3);
  CHECK(svc.peak == 1);
  for (std::size_t i = 2; i < callers.size(); ++i) {
    REQUIRE(callers[i].result);
    CHECK(callers[i].result->value() == 3);
  }
}

TEST_CASE("bug 55: followers do not hang, whatever the leader comes to", "[conformance]") {
  stage s;
  hf::cache<int> cache;
  const auto guard = hf::pipeline().with(cache);
  std::deque<caller> callers(3);
  const auto scene = [](const auto& p, auto call, caller& c) -> asio::awaitable<void> {
    c.result.emplace(co_await p(std::move(call), {.cache_key = "q"}));
  };
  const auto all = [&](auto call) {
    for (auto& c : callers) {
      c.ended = false;
      c.result.reset();
      asio::co_spawn(s.context, scene(guard, call, c),
                     [&c](std::exception_ptr) { c.ended = true; });
    }
    s.time.run();
    for (auto& c : callers) {
      CHECK(c.ended);
      REQUIRE(c.result);
    }
  };
  SECTION("an exception before it is suspended") {
    all([]() -> asio::awaitable<int> { throw std::runtime_error("no"); co_return 0; });
    for (auto& c : callers) CHECK(c.result->error().code() == errc::exception);
  }
  SECTION("a call that cannot even be made") {
    all([n = 0]() mutable -> asio::awaitable<int> {
      if (++n) throw std::runtime_error("no");
      return []() -> asio::awaitable<int> { co_return 0; }();
    });
    for (auto& c : callers) CHECK(c.result->error().code() == errc::exception);
  }
  SECTION("an aborted operation, though nobody cancelled: each tries in turn") {
    int calls = 0;
    all([&calls]() -> asio::awaitable<int> {
      ++calls;
      co_await hf::sleep_for(1s);
      throw boost::system::system_error(asio::error::operation_aborted);
      co_return 0;
    });
    CHECK(calls == 3);
  }
  SECTION("its executor is destroyed") {
    service svc;
    {
      stage other;
      caller leader;
      start(other, guard, svc, leader);
      other.time.run_for(500ms);
      REQUIRE(svc.running == 1);
      for (auto& c : callers) start(s, guard, svc, c);
      s.time.run_for(500ms);
      CHECK(svc.calls == 1);
    }
    s.time.run();
    for (auto& c : callers) {
      REQUIRE(c.result);
      CHECK(c.result->value() == 2);
    }
  }
  SECTION("its executor is destroyed with them") {
    service svc;
    {
      stage other;
      std::deque<caller> doomed(3);
      for (auto& c : doomed) start(other, guard, svc, c);
      other.time.run_for(500ms);
      CHECK(cache.snapshot().flights == 1);
    }
    CHECK(svc.running == 0);
  }
  CHECK(cache.snapshot().flights == 0);
}

TEST_CASE("bug 55: deadlines of followers are their own, in both directions", "[conformance]") {
  stage s;
  service svc;
  hf::cache<int> cache;
  const auto patient = hf::pipeline().with(cache);
  const auto hasty = hf::pipeline().with(cache).with(hf::timeout{300ms});
  std::deque<caller> callers(3);
  start(s, hasty, svc, callers[0]);  // the leader
  s.time.run_for(100ms);
  start(s, hasty, svc, callers[1]);
  start(s, patient, svc, callers[2]);
  s.time.run();
  CHECK(callers[0].result->error().code() == errc::attempt_timeout);
  CHECK(callers[0].at - s.began == 300ms);
  CHECK(callers[1].result->error().code() == errc::attempt_timeout);
  CHECK(callers[1].at - s.began == 400ms);  // it led from 300 ms on
  CHECK(callers[2].result->value() == 3);
  CHECK(svc.peak == 1);
}
