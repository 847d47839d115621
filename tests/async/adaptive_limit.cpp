// SPDX-License-Identifier: BSL-1.0
// The adaptive limit in a pipeline, in virtual time.
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/system/errc.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>
#include <optional>
#include <stdexcept>
#include <string>

#include "../support/stage.hpp"

namespace {

namespace hf = holdfast;
namespace asio = boost::asio;
using namespace std::chrono_literals;
using test::stage;

asio::awaitable<int> takes(hf::call_context& ctx, hf::duration d) {
  co_await hf::sleep_for(d, ctx.token());
  co_return 1;
}

/// One operation; what it gives goes to `out`.
template <class Pipeline, class Call>
asio::awaitable<void> one(const Pipeline& pipeline, Call call,
                          std::optional<hf::result<int>>& out) {
  out.emplace(co_await pipeline(call));
}

/// Calls one after another until `count` have ended.
template <class Pipeline, class Call>
asio::awaitable<void> many(const Pipeline& pipeline, Call call, int count) {
  for (int i = 0; i < count; ++i) {
    hf::result<int> r = co_await pipeline(call);
    static_cast<void>(r);
  }
}

}  // namespace

TEST_CASE("adaptive limit: refuses beyond the limit, at once") {
  stage s;
  const hf::adaptive_limit limit({.name = "gpt-4", .initial_limit = 2, .min_limit = 1});
  const auto pipe = hf::pipeline().with(limit);
  const auto second = [](hf::call_context& ctx) { return takes(ctx, 1s); };
  std::optional<hf::result<int>> a;
  std::optional<hf::result<int>> b;
  std::optional<hf::result<int>> c;
  s.start(one(pipe, second, a));
  s.start(one(pipe, second, b));
  s.start(one(pipe, second, c));
  s.time.poll();
  CHECK(limit.in_flight() == 2);
  REQUIRE(c);
  REQUIRE(c->has_error());
  CHECK(c->error().code() == hf::errc::bulkhead_full);
  CHECK(c->error().code() == hf::condition::rejected);
  CHECK(c->error().policy() == hf::policy_kind::adaptive_limit);
  CHECK(c->error().policy_name() == "gpt-4");
  CHECK(c->error().message().starts_with("adaptive_limit 'gpt-4': "));
  s.run();
  CHECK(a->has_value());
  CHECK(b->has_value());
  CHECK(limit.in_flight() == 0);
  CHECK(limit.refused() == 1);
}

TEST_CASE("adaptive limit: measures the calls below it, precisely") {
  stage s;
  const hf::adaptive_limit limit({.window = 1s});
  const auto pipe = hf::pipeline().with(limit);
  s.play(many(pipe, [](hf::call_context& ctx) { return takes(ctx, 12345us); }, 200));
  CHECK(limit.snapshot().latency == 12345us);
  CHECK(limit.snapshot().idle_latency == 12345us);
  CHECK(limit.snapshot().windows == 2);
}

TEST_CASE("adaptive limit: counts good answers and drops, and nothing else") {
  stage s;
  const hf::adaptive_limit limit({.window = 100ms});
  const auto pipe = hf::pipeline().with(limit);
  SECTION("failures of another kind") {
    const auto refused = [](hf::call_context& ctx) -> asio::awaitable<int> {
      co_await hf::sleep_for(1ms, ctx.token());
      throw boost::system::system_error(
          make_error_code(boost::system::errc::connection_refused));
    };
    s.play(many(pipe, refused, 500));
    CHECK(limit.snapshot().windows == 0);
  }
  SECTION("the caller's own mistakes") {
    const auto wrong = [](hf::call_context& ctx) -> asio::awaitable<int> {
      co_await hf::sleep_for(1ms, ctx.token());
      throw boost::system::system_error(
          make_error_code(boost::system::errc::invalid_argument));
    };
    s.play(many(pipe, wrong, 500));
    CHECK(limit.snapshot().windows == 0);
  }
  SECTION("timeouts of ours") {
    const auto timed = hf::pipeline().with(hf::timeout{10ms}).with(limit);
    s.play(many(timed, [](hf::call_context& ctx) { return takes(ctx, 1s); }, 50));
    CHECK(limit.snapshot().dropped == 50);
    CHECK(limit.limit() < 20);
  }
  SECTION("timeouts around it") {
    const auto timed = hf::pipeline().with(limit).with(hf::timeout{10ms});
    s.play(many(timed, [](hf::call_context& ctx) { return takes(ctx, 1s); }, 50));
    CHECK(limit.snapshot().dropped == 50);
  }
  SECTION("timeouts of the system's") {
    const auto timed_out = []() -> asio::awaitable<int> {
      throw boost::system::system_error(make_error_code(boost::system::errc::timed_out));
      co_return 0;
    };
    s.play(many(pipe, timed_out, 50));
    CHECK(limit.snapshot().dropped == 50);
  }
  SECTION("what the classifier calls overloaded") {
    const auto judged =
        pipe.classify([](const hf::failure&) { return hf::verdict::overloaded; });
    const auto busy = [](hf::call_context& ctx) -> asio::awaitable<int> {
      co_await hf::sleep_for(10ms, ctx.token());
      throw std::runtime_error("503");
    };
    s.play(many(judged, busy, 50));
    CHECK(limit.snapshot().dropped == 50);
    CHECK(limit.limit() < 20);
  }
  SECTION("what the classifier calls slow") {
    const auto judged = pipe.classify([](int) { return hf::verdict::slow; });
    s.play(many(judged, [](hf::call_context& ctx) { return takes(ctx, 7ms); }, 50));
    CHECK(limit.snapshot().latency == 7ms);
    CHECK(limit.snapshot().dropped == 0);
  }
  CHECK(limit.in_flight() == 0);
}

TEST_CASE("bug 22: a call that its caller cancelled is no sample", "[conformance]") {
  stage s;
  const hf::adaptive_limit limit({.window = 100ms, .min_samples = 1});
  const auto pipe = hf::pipeline().with(limit);
  for (int i = 0; i < 50; ++i) {
    asio::cancellation_signal cancel;
    std::optional<hf::result<int>> out;
    asio::co_spawn(s.context,
                   one(pipe, [](hf::call_context& ctx) { return takes(ctx, 1h); }, out),
                   asio::bind_cancellation_slot(cancel.slot(), [](std::exception_ptr) {}));
    s.time.run_for(50ms);
    CHECK(limit.in_flight() == 1);
    cancel.emit(asio::cancellation_type::terminal);
    s.time.run_for(1ms);
    CHECK(limit.in_flight() == 0);
  }
  CHECK(limit.snapshot().windows == 0);
  CHECK(limit.snapshot().dropped == 0);
  CHECK(limit.limit() == 20);
}

TEST_CASE("adaptive limit: inside a retry each attempt is a call of its own") {
  stage s;
  const hf::adaptive_limit limit({.window = 10ms, .min_samples = 1});
  const auto pipe = hf::pipeline().with(limit).with(
      hf::retry{.max_attempts = 3, .wait = {.base = 1s, .cap = 1s, .jitter = hf::jitter::none}});
  int calls = 0;
  const auto third = [&](hf::call_context& ctx) -> asio::awaitable<int> {
    co_await hf::sleep_for(20ms, ctx.token());
    if (++calls < 3) throw std::runtime_error("not yet");
    co_return 1;
  };
  std::optional<hf::result<int>> out;
  s.play(one(pipe, third, out));
  CHECK(out->has_value());
  CHECK(limit.snapshot().latency == 20ms);
  CHECK(limit.in_flight() == 0);
}

TEST_CASE("adaptive limit: a bulkhead around it gives its callers a queue") {
  stage s;
  const hf::adaptive_limit limit({.initial_limit = 4, .min_limit = 4, .max_limit = 4});
  const hf::bulkhead queue({.limit = 4, .queue = 100});
  const auto pipe = hf::pipeline().with(limit).with(queue);
  std::vector<std::optional<hf::result<int>>> out(20);
  for (auto& o : out) {
    s.start(one(pipe, [](hf::call_context& ctx) { return takes(ctx, 10ms); }, o));
  }
  s.run();
  for (const auto& o : out) CHECK(o->has_value());
  CHECK(limit.refused() == 0);
}

TEST_CASE("adaptive limit: reconfigured while calls are under way") {
  stage s;
  hf::adaptive_limit limit({.name = "a", .initial_limit = 8});
  const auto pipe = hf::pipeline().with(limit);
  std::vector<std::optional<hf::result<int>>> out(8);
  for (auto& o : out) {
    s.start(one(pipe, [](hf::call_context& ctx) { return takes(ctx, 1s); }, o));
  }
  s.time.poll();
  limit.reconfigure({.initial_limit = 3, .max_limit = 3});
  CHECK(limit.limit() == 3);
  CHECK(limit.in_flight() == 8);
  CHECK_THROWS_AS(limit.reconfigure({.window = 0s}), hf::invalid_options);
  CHECK(pipe.describe().starts_with("adaptive_limit 'a': gradient, 3 to 3 at once"));
  s.run();
  for (const auto& o : out) CHECK(o->has_value());
  CHECK(limit.in_flight() == 0);
}

TEST_CASE("adaptive limit: changes are told in order, with what led to them") {
  stage s;
  hf::adaptive_limit limit({.name = "gpt-4", .initial_limit = 4, .min_limit = 1, .max_limit = 10});
  std::vector<hf::limit_change> changes;
  auto subscription = limit.on_change([&](const hf::limit_change& c) {
    CHECK(limit.limit() == c.to);  // it may use the limit
    changes.push_back(c);
    if (changes.size() == 2) throw std::runtime_error("a listener that fails");
  });
  const auto pipe = hf::pipeline().with(limit);
  const auto session = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < 2000; ++i) {
      hf::result<int> r = co_await pipe([](hf::call_context& ctx) { return takes(ctx, 10ms); });
      if (r.has_error()) co_await hf::sleep_for(10ms);
    }
  };
  for (int i = 0; i < 4; ++i) s.start(session);
  s.run();
  REQUIRE(changes.size() > 2);
  CHECK(changes.front().from == 4);
  CHECK(changes.front().to == 1);  // the idle latency is measured first
  CHECK(changes.front().measuring_idle);
  CHECK(changes.front().name == "gpt-4");
  CHECK(changes.front().latency == 10ms);
  for (std::size_t i = 1; i < changes.size(); ++i) {
    CHECK(changes[i].from == changes[i - 1].to);
    CHECK(changes[i].at > changes[i - 1].at);
  }
  CHECK(changes.back().to == limit.limit());
  CHECK(changes.back().idle_latency == 10ms);
  CHECK(limit.snapshot().listener_errors == 1);

  const auto told = changes.size();
  subscription.cancel();
  limit.reconfigure({.min_limit = 1, .max_limit = 500});
  for (int i = 0; i < 20; ++i) s.start(session);
  s.run();
  CHECK(limit.limit() > 10);
  CHECK(changes.size() == told);
}
