// SPDX-License-Identifier: BSL-1.0
// The load shedder in pipelines, in virtual time: what it measures, whom it sheds, what it says.
#include <algorithm>
#include <boost/asio/error.hpp>
#include <catch2/catch_all.hpp>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "../support/stage.hpp"

namespace {

using test::asio::awaitable;
using test::stage;
namespace asio = test::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::overload_signal;

// Samples are kept in units of 1,024 ns: in these times nothing is cut off.
constexpr hf::duration tick = 1024us;
constexpr hf::duration threshold = 20 * tick;

awaitable<int> works() { co_return 1; }
awaitable<hf::result<int>> fails() { co_return hf::failure(asio::error::connection_reset); }

auto works_for(hf::duration d) {
  return [d]() -> awaitable<int> {
    co_await hf::sleep_for(d);
    co_return 1;
  };
}
auto fails_after(hf::duration d) {
  return [d]() -> awaitable<hf::result<int>> {
    co_await hf::sleep_for(d);
    co_return hf::failure(asio::error::connection_reset);
  };
}

/// A shedder that judges each call by itself.
hf::load_shedder judges_each(overload_signal signal) {
  const hf::load_shedder shedder({.name = "api",
                                  .signal = signal,
                                  .threshold = threshold,
                                  .window_calls = 1,
                                  .minimum_calls = 1,
                                  .decrease = 1});
  // The first window begins with the first of them, and takes the second too.
  for (int i = 0; i < 2; ++i) shedder.core()->add_sample(0s, hf::time_point(1s));
  REQUIRE(shedder.snapshot().windows == 1);
  return shedder;
}

/// A shedder that sheds the upper half of the sessions, for an hour.
hf::load_shedder sheds_half(hf::time_point now) {
  const hf::load_shedder shedder(
      {.signal = overload_signal::latency, .window = 1h, .decrease = 0.5, .rotate_every = 1000h});
  auto& core = *shedder.core();
  constexpr auto normal = static_cast<unsigned>(hf::priority::normal);
  for (unsigned i = 0; i < core.cohorts; ++i) core.admit(normal * core.cohorts + i);
  for (int i = 0; i < 20; ++i) core.add_sample(1s, now - 1h);
  core.add_sample(1s, now);
  REQUIRE(core.cursor() == normal * core.cohorts + core.cohorts / 2);
  return shedder;
}

/// Whether each of so many calls was served.
template <class Pipe>
awaitable<std::vector<bool>> served(const Pipe& pipe, int times, hf::call_options options) {
  std::vector<bool> answers;
  for (int i = 0; i < times; ++i) {
    const hf::result<int> r = co_await pipe(works, options);
    answers.push_back(r.has_value());
  }
  co_return answers;
}

}  // namespace

TEST_CASE("load shedder: what it sheds says who and why, and when to come again",
          "[load_shedder]") {
  stage s;
  const hf::load_shedder shedder = judges_each(overload_signal::latency);
  const auto pipe = hf::pipeline().with(shedder);
  s.play([&]() -> awaitable<void> {
    const hf::result<int> slow = co_await pipe(works_for(2 * threshold), {.session = 7});
    CHECK(slow.has_value());
    CHECK(shedder.snapshot().overloaded);
    const hf::result<int> r = co_await pipe(works, {.session = 7});
    REQUIRE(r.has_error());
    CHECK(r.error().code() == hf::errc::shed);
    CHECK(r.error().code() == hf::condition::rejected);
    CHECK(r.error().policy() == hf::policy_kind::load_shedder);
    CHECK(r.error().policy_name() == "api");
    CHECK(r.error().retry_after() == hf::duration(1s));
    CHECK(r.error().attempts() == 0);
    const hf::result<int> critical =
        co_await pipe(works, {.priority = hf::priority::critical, .session = 7});
    CHECK(critical.has_value());
  });
  const auto shed = shedder.snapshot();
  CHECK(shed.shed == 1);
  CHECK(shed.shed_by_priority[static_cast<std::size_t>(hf::priority::normal)] == 1);
}

TEST_CASE("load shedder: latency is all that lies below, queue time only what waits",
          "[load_shedder]") {
  const auto signal = GENERATE(overload_signal::latency, overload_signal::queue_time);
  stage s;
  const hf::load_shedder shedder = judges_each(signal);
  const hf::bulkhead bulkhead({.limit = 1, .queue = 1});
  const auto pipe = hf::pipeline().with(bulkhead).with(shedder);
  std::vector<hf::duration> means;
  const auto call = [&]() -> awaitable<void> {
    std::ignore = co_await pipe(works_for(4 * tick));
    means.push_back(shedder.snapshot().mean);
  };
  s.start(call);
  s.start(call);
  s.run();
  const bool latency = signal == overload_signal::latency;
  CHECK(means == (latency ? std::vector<hf::duration>{4 * tick, 8 * tick}
                          : std::vector<hf::duration>{0s, 4 * tick}));
}

TEST_CASE("load shedder: a call that fails counts as long as it took", "[load_shedder]") {
  stage s;
  const hf::load_shedder shedder = judges_each(overload_signal::latency);
  const auto pipe = hf::pipeline().with(shedder);
  const auto fault = pipe.classify([](const hf::failure&) { return hf::verdict::request_fault; });
  const auto neutral = pipe.classify([](const hf::failure&) { return hf::verdict::neutral; });
  s.play([&]() -> awaitable<void> {
    std::ignore = co_await pipe(fails_after(5 * tick));
    CHECK(shedder.snapshot().mean == 5 * tick);
    std::ignore = co_await fault(fails_after(6 * tick));
    CHECK(shedder.snapshot().mean == 6 * tick);
    const auto before = shedder.snapshot().windows;
    std::ignore = co_await neutral(fails_after(7 * tick));
    CHECK(shedder.snapshot().windows == before);  // it says nothing
  });
}

TEST_CASE("load shedder: a service that turns calls away is overloaded", "[load_shedder]") {
  stage s;
  const hf::load_shedder shedder = judges_each(overload_signal::latency);
  const auto pipe = hf::pipeline().with(shedder).classify(
      [](const hf::failure&) { return hf::verdict::overloaded; });
  s.play([&]() -> awaitable<void> {
    std::ignore = co_await pipe(fails);
    CHECK(shedder.snapshot().overloaded);
    CHECK(shedder.snapshot().mean == 10 * threshold);
  });
}

TEST_CASE("load shedder: a queue that turns calls away is overloaded", "[load_shedder]") {
  stage s;
  const hf::load_shedder shedder = judges_each(overload_signal::queue_time);
  const hf::bulkhead bulkhead({.limit = 1, .queue = 1, .order = hf::queue_order::priority});
  const auto direct = hf::pipeline().with(bulkhead);
  const auto pipe = direct.with(shedder);
  const auto occupy = [&](hf::priority p) {
    s.start([&direct, p]() -> awaitable<void> {
      std::ignore = co_await direct(works_for(1h), {.priority = p});
    });
    s.time.poll();
  };
  hf::errc why{};
  const auto call = [&](hf::call_options options) {
    s.start([&, options]() -> awaitable<void> {
      const hf::result<int> r = co_await pipe(works, options);
      REQUIRE(r.has_error());
      CHECK(r.error().policy() == hf::policy_kind::bulkhead);
      why = static_cast<hf::errc>(r.error().code().value());
    });
    s.time.poll();
  };
  occupy(hf::priority::high);
  SECTION("because it is full") {
    occupy(hf::priority::high);
    call({});
    CHECK(why == hf::errc::bulkhead_full);
    CHECK(shedder.snapshot().mean == 10 * threshold);
  }
  SECTION("because another call matters more") {
    call({});
    occupy(hf::priority::high);
    CHECK(why == hf::errc::shed);
    CHECK(shedder.snapshot().mean == 10 * threshold);
  }
  SECTION("but not because the call is too heavy for it") {
    const auto before = shedder.snapshot().windows;
    call({.weight = 2});
    CHECK(why == hf::errc::too_heavy);
    CHECK(shedder.snapshot().windows == before);
  }
  s.run();
}

TEST_CASE("load shedder: what another policy turns away says nothing", "[load_shedder]") {
  stage s;
  const hf::load_shedder shedder = judges_each(overload_signal::latency);
  const hf::throttle closed({.min_per_second = 0, .max_rejection = 1});
  const auto direct = hf::pipeline().with(closed);
  const auto pipe = direct.with(shedder);
  s.play([&]() -> awaitable<void> {
    for (int i = 0; i < 10'000; ++i) std::ignore = co_await direct(fails);
    const auto before = shedder.snapshot().windows;
    const hf::result<int> r = co_await pipe(works);
    REQUIRE(r.has_error());  // but for one seed in ten thousand
    CHECK(r.error().code() == hf::errc::shed);
    CHECK(shedder.snapshot().windows == before);
  });
}

TEST_CASE("load shedder: the calls of a session or of a tenant fare alike, others by chance",
          "[load_shedder]") {
  stage s;
  const hf::load_shedder shedder = sheds_half(s.time.now());
  const auto pipe = hf::pipeline().with(shedder);
  s.play([&]() -> awaitable<void> {
    std::set<bool> sessions;
    std::set<bool> tenants;
    for (unsigned i = 1; i <= 30; ++i) {
      // The session counts, whatever the tenant.
      const auto by_session = co_await served(pipe, 10, {.tenant = "acme", .session = i});
      CHECK(std::set<bool>(by_session.begin(), by_session.end()).size() == 1);
      sessions.insert(by_session.front());
      const std::string tenant = "tenant " + std::to_string(i);
      const auto by_tenant = co_await served(pipe, 10, {.tenant = tenant});
      CHECK(std::set<bool>(by_tenant.begin(), by_tenant.end()).size() == 1);
      tenants.insert(by_tenant.front());
    }
    CHECK(sessions.size() == 2);
    CHECK(tenants.size() == 2);
    const auto nobody = co_await served(pipe, 100, {});
    CHECK(std::ranges::count(nobody, true) > 20);
    CHECK(std::ranges::count(nobody, true) < 80);
  });
}

TEST_CASE("load shedder: a tenant has its share in flight, and who is shed has none",
          "[load_shedder]") {
  stage s;
  const hf::load_shedder shedder({.name = "api",
                                  .signal = overload_signal::latency,
                                  .window = 3s,
                                  .capacity = 10,
                                  .tenant_burst = 1});
  const auto pipe = hf::pipeline().with(shedder);
  std::map<std::string, int> refused;
  const auto call = [&](std::string tenant) {
    s.start([&, tenant]() -> awaitable<void> {
      const hf::result<int> r = co_await pipe(works_for(1s), {.tenant = tenant});
      if (r.has_value()) co_return;
      ++refused[tenant];
      CHECK(r.error().code() == hf::errc::shed);
      CHECK(r.error().policy() == hf::policy_kind::load_shedder);
      CHECK(r.error().policy_name() == "api");
      CHECK(r.error().retry_after() == hf::duration(3s));
    });
    s.time.poll();
  };
  for (int i = 0; i < 8; ++i) call("acme");
  CHECK(refused["acme"] == 3);
  CHECK(shedder.snapshot().in_flight == 5);
  call("other");
  CHECK(refused["other"] == 0);
  for (int i = 0; i < 8; ++i) call("");
  CHECK(refused[""] == 0);
  CHECK(shedder.snapshot().in_flight == 14);
  CHECK(shedder.snapshot().shed_over_share == 3);
  CHECK(shedder.snapshot().shed == 3);
  s.run();
  CHECK(shedder.snapshot().in_flight == 0);
}

TEST_CASE("load shedder: who is shed holds nothing of the share", "[load_shedder]") {
  stage s;
  const hf::load_shedder shedder = sheds_half(s.time.now());
  auto options = shedder.core()->options();
  options.capacity = 1000;
  shedder.core()->reconfigure(options);
  const auto pipe = hf::pipeline().with(shedder);
  s.play([&]() -> awaitable<void> {
    std::ignore = co_await served(pipe, 100, {});
    for (unsigned i = 1; i <= 30; ++i) {
      std::ignore = co_await served(pipe, 1, {.tenant = "acme", .session = i});
    }
  });
  CHECK(shedder.snapshot().shed > 0);
  CHECK(shedder.snapshot().in_flight == 0);
}

TEST_CASE("load shedder: to watch queues it must have some below", "[load_shedder]") {
  const hf::load_shedder queues;
  const hf::load_shedder latency({.signal = overload_signal::latency});
  const hf::bulkhead bulkhead;
  CHECK_THROWS_MATCHES(
      hf::pipeline().with(queues), hf::invalid_options,
      Catch::Matchers::Message("pipeline: load_shedder.signal = queue_time: nothing inside it "
                               "queues; put it around a bulkhead, or let it watch the latency"));
  CHECK_NOTHROW(hf::pipeline().with(bulkhead).with(queues));
  CHECK_NOTHROW(hf::pipeline().with(bulkhead).with(latency));
  CHECK_NOTHROW(hf::pipeline().with(latency));
}

TEST_CASE("load shedder: describes itself", "[load_shedder][describe]") {
  const auto with = [](hf::load_shedder_options o) {
    std::string text;
    hf::load_shedder(std::move(o)).core()->describe(text);
    return text;
  };
  CHECK(with({.name = "api"}) ==
        "load_shedder 'api': overloaded at a mean queue time above 20ms over 1s or 2000 calls, of "
        "at least 20; then 5 % fewer, else 1 % more, by priority, order changed every 3600s");
  CHECK(with({.signal = overload_signal::latency,
              .threshold = 3s,
              .window = 1500ms,
              .window_calls = 7,
              .minimum_calls = 3,
              .decrease = 0.5,
              .increase = 0.125,
              .capacity = 1,
              .tenant_burst = 9,
              .rotate_every = 60s}) ==
        "load_shedder '': overloaded at a mean latency above 3s over 1500ms or 7 calls, of at "
        "least 3; then 50 % fewer, else 12.5 % more, by priority, order changed every 60s; each "
        "tenant at most 9 times what is left of 1");
}
