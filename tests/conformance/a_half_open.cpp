// SPDX-License-Identifier: BSL-1.0
// Bugs that other libraries shipped, A: who is admitted to a half-open circuit.
#include <atomic>
#include <barrier>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/detail/breaker_core.hpp>
#include <thread>
#include <vector>

#include "../support/stage.hpp"

using namespace std::chrono_literals;
using namespace test;
using hf::breaker_state;
using hf::verdict;
using hf::detail::breaker_core;
using hf::detail::breaker_permit;

namespace {

hf::time_point at(hf::duration d) { return hf::time_point(1h + d); }

/// A breaker that was opened by one failure at `at(0s)`, for ten seconds.
struct opened {
  explicit opened(hf::circuit_breaker_options o = {}) : core(adjusted(std::move(o))) {
    breaker_permit permit;
    REQUIRE(core.try_enter(permit, at(0s)));
    core.leave(permit, verdict::failure, at(0s));
    REQUIRE(core.state() == breaker_state::open);
  }
  static hf::circuit_breaker_options adjusted(hf::circuit_breaker_options o) {
    o.consecutive_failures = 1;
    o.open_for = 10s;
    return o;
  }
  unsigned probes(hf::duration t = 10s) const { return core.snapshot(at(t)).probes_in_flight; }
  breaker_core core;
};

asio::awaitable<int> fail() {
  throw std::runtime_error("down");
  co_return 0;
}

}  // namespace

TEST_CASE("bug 1: exactly k of 64 callers are admitted at the expiry", "[conformance][threads]") {
  // Real threads.
  const unsigned k = GENERATE(1u, 3u);
  constexpr int threads = 8;
  constexpr int each = 8;
  constexpr int rounds = 100;
  std::vector<std::unique_ptr<opened>> breakers;
  for (int i = 0; i < rounds; ++i) {
    breakers.push_back(
        std::make_unique<opened>(hf::circuit_breaker_options{.half_open_probes = k}));
  }
  std::vector<std::atomic<unsigned>> admitted(rounds);
  std::barrier together(threads);
  {
    std::vector<std::jthread> pool;
    for (int t = 0; t < threads; ++t) {
      pool.emplace_back([&] {
        for (std::size_t round = 0; round < rounds; ++round) {
          together.arrive_and_wait();
          for (int i = 0; i < each; ++i) {
            breaker_permit permit;
            if (breakers[round]->core.try_enter(permit, at(10s))) ++admitted[round];
          }
        }
      });
    }
  }
  for (std::size_t round = 0; round < rounds; ++round) {
    REQUIRE(admitted[round] == k);
    REQUIRE(breakers[round]->core.snapshot(at(10s)).refused == threads * each - k);
  }
}

TEST_CASE("bug 2: what is limited is admitted probes, not finished ones", "[conformance]") {
  opened o({.half_open_probes = 2, .successes_to_close = 5});
  breaker_permit a;
  breaker_permit b;
  breaker_permit c;
  CHECK(o.core.try_enter(a, at(10s)));
  CHECK(o.core.try_enter(b, at(10s)));
  for (int i = 0; i < 100; ++i) CHECK_FALSE(o.core.try_enter(c, at(11s)));  // none has finished
  o.core.leave(a, verdict::success, at(12s));
  CHECK(o.core.try_enter(c, at(12s)));
  CHECK_FALSE(o.core.try_enter(a, at(12s)));
}

TEST_CASE("bug 3: a probe whose outcome says nothing gives its place back", "[conformance]") {
  opened o;
  const verdict mute = GENERATE(verdict::neutral, verdict::request_fault, verdict::throttled);
  for (int i = 0; i < 10; ++i) {
    breaker_permit permit;
    REQUIRE(o.core.try_enter(permit, at(10s)));
    o.core.leave(permit, mute, at(10s));
    CHECK(o.core.state() == breaker_state::half_open);
    CHECK(o.probes() == 0);
  }
  breaker_permit permit;
  REQUIRE(o.core.try_enter(permit, at(10s)));
  o.core.leave(permit, verdict::success, at(10s));
  CHECK(o.core.state() == breaker_state::closed);
}

TEST_CASE("bug 4: a probe that never ends has failed, and its late result has no say",
          "[conformance]") {
  opened o({.probe_lease = 60s});
  breaker_permit lost;
  breaker_permit next;
  REQUIRE(o.core.try_enter(lost, at(10s)));
  CHECK_FALSE(o.core.try_enter(next, at(70s - 1ns)));
  CHECK(o.core.state() == breaker_state::half_open);
  CHECK_FALSE(o.core.try_enter(next, at(70s)));
  CHECK(o.core.state() == breaker_state::open);
  REQUIRE(o.core.try_enter(next, at(80s)));
  const verdict late = GENERATE(verdict::success, verdict::failure, verdict::neutral);
  o.core.leave(lost, late, at(81s));
  CHECK(o.core.state() == breaker_state::half_open);
  CHECK(o.probes(81s) == 1);  // the new one's place is not the old one's to give back
  breaker_permit third;
  CHECK_FALSE(o.core.try_enter(third, at(81s)));
  o.core.leave(next, verdict::success, at(82s));
  CHECK(o.core.state() == breaker_state::closed);
}

TEST_CASE("bug 4: the result of a probe that comes after its lease is a failure", "[conformance]") {
  opened o({.probe_lease = 60s});
  breaker_permit slow;
  REQUIRE(o.core.try_enter(slow, at(10s)));
  const auto ends = GENERATE(as<hf::duration>(), 70s - 1ns, 70s);
  o.core.leave(slow, verdict::success, at(ends));
  CHECK((o.core.state() == breaker_state::closed) == (ends < 70s));
}

TEST_CASE("bug 4: a probe that never ends is one of the failures that are judged by their share",
          "[conformance]") {
  // A share that is reached opens the circuit; one below it lets the rest close it.
  const bool harmless = GENERATE(true, false);
  opened o({.half_open_probes = 4,
            .half_open_calls = 4,
            .half_open_failure_rate = harmless ? 0.5 : 0.25,
            .probe_lease = 60s});
  breaker_permit lost;
  REQUIRE(o.core.try_enter(lost, at(10s)));
  for (int i = 0; i < 3; ++i) {
    breaker_permit good;
    REQUIRE(o.core.try_enter(good, at(10s)));
    o.core.leave(good, verdict::success, at(10s));
  }
  CHECK(o.core.state() == breaker_state::half_open);
  breaker_permit next;
  CHECK(o.core.try_enter(next, at(70s)) == harmless);
  CHECK(o.core.state() == (harmless ? breaker_state::closed : breaker_state::open));
}

TEST_CASE("bug 5: a cancelled probe gives its place back, wherever it was cancelled",
          "[conformance]") {
  const auto when = GENERATE(as<hf::duration>(), 0ms, 500ms, 1s, 1500ms, 2s, 2500ms);
  const bool opaque = GENERATE(true, false);
  const auto wrapped = GENERATE(false, true);
  stage s;
  hf::circuit_breaker breaker({.consecutive_failures = 1, .open_for = 10s});
  s.play([&]() -> asio::awaitable<void> {
    const auto pipe = hf::pipeline().with(breaker);
    const auto r = co_await pipe(fail);
    REQUIRE(r.has_error());
    co_await hf::sleep_for(10s);
  });
  REQUIRE(breaker.state() == breaker_state::open);

  const auto plain = []() -> asio::awaitable<int> {
    for (int i = 0; i < 3; ++i) co_await hf::sleep_for(1s);
    co_return 1;
  };
  const auto cooperative = [](hf::call_context& ctx) -> asio::awaitable<int> {
    for (int i = 0; i < 3; ++i) co_await hf::sleep_for(1s, ctx.token());
    co_return 1;
  };
  const auto inner = hf::pipeline().with(breaker);
  const auto outer = hf::pipeline()
                         .with(hf::timeout{1min})
                         .with(hf::retry{})
                         .with(breaker)
                         .with(hf::timeout{5min});
  asio::cancellation_signal stop;
  std::optional<hf::result<int>> result;
  const auto scene = [&]() -> asio::awaitable<void> {
    if (wrapped && opaque) {
      result.emplace(co_await outer(plain));
    } else if (wrapped) {
      result.emplace(co_await outer(cooperative));
    } else if (opaque) {
      result.emplace(co_await inner(plain));
    } else {
      result.emplace(co_await inner(cooperative));
    }
  };
  asio::co_spawn(s.context, scene,
                 asio::bind_cancellation_slot(stop.slot(), [](std::exception_ptr) {}));
  s.time.run_for(when);
  REQUIRE(breaker.state() == breaker_state::half_open);
  REQUIRE(breaker.snapshot(s.time.now()).probes_in_flight == 1);
  stop.emit(asio::cancellation_type::terminal);
  s.time.run_for(0ms);
  if (result) CHECK(result->error().code() == hf::errc::cancelled);
  CHECK(breaker.snapshot(s.time.now()).probes_in_flight == 0);
  CHECK(breaker.state() == breaker_state::half_open);
}

TEST_CASE("bug 5: a probe destroyed with its executor gives its place back", "[conformance]") {
  const auto when = GENERATE(as<hf::duration>(), 0ms, 500ms, 1s, 1500ms, 2500ms);
  hf::circuit_breaker breaker({.consecutive_failures = 1, .open_for = 10s});
  {
    stage s;
    const auto pipe = hf::pipeline().with(breaker).with(hf::timeout{1min});
    const auto slow = []() -> asio::awaitable<int> {
      for (int i = 0; i < 3; ++i) co_await hf::sleep_for(1s);
      co_return 1;
    };
    s.start([&]() -> asio::awaitable<void> {
      const auto r = co_await pipe(fail);
      REQUIRE(r.has_error());
      co_await hf::sleep_for(10s);
      const auto never_told = co_await pipe(slow);
      REQUIRE(never_told.has_value());
    });
    s.time.run_for(10s + when);
    REQUIRE(breaker.snapshot(s.time.now()).probes_in_flight == 1);
  }
  CHECK(breaker.snapshot().probes_in_flight == 0);
  CHECK(breaker.state() == breaker_state::half_open);
}

TEST_CASE("bug 6: a probe that a policy below refuses gives its place back", "[conformance]") {
  stage s;
  hf::circuit_breaker breaker({.consecutive_failures = 1, .open_for = 10s});
  hf::bulkhead bulkhead({.limit = 1});
  const auto inside = hf::pipeline().with(bulkhead);
  const auto pipe = hf::pipeline().with(bulkhead).with(breaker);
  const auto slow = []() -> asio::awaitable<int> {
    co_await hf::sleep_for(5s);
    co_return 1;
  };
  s.play([&]() -> asio::awaitable<void> {
    const auto failed = co_await pipe(fail);
    REQUIRE(failed.has_error());
    REQUIRE(breaker.state() == breaker_state::open);
    co_await hf::sleep_for(10s);
    s.start([&]() -> asio::awaitable<void> {
      const auto r = co_await inside(slow);
      CHECK(r.has_value());
    });
    co_await hf::sleep_for(1s);
    for (int i = 0; i < 3; ++i) {
      const auto refused = co_await pipe(slow);
      CHECK(refused.error().code() == hf::errc::bulkhead_full);
      CHECK(breaker.state() == breaker_state::half_open);
      CHECK(breaker.snapshot(s.time.now()).probes_in_flight == 0);
    }
    co_await hf::sleep_for(10s);
    const auto good = co_await pipe(slow);
    CHECK(good.has_value());
    CHECK(breaker.state() == breaker_state::closed);
  });
}

TEST_CASE("bug 7: the minimum of calls does not delay the verdict of a probe", "[conformance]") {
  breaker_core b({.consecutive_failures = 0,
                  .failure_rate = 0.5,
                  .window = 10s,
                  .minimum_calls = 100,
                  .open_for = 10s});
  breaker_permit permit;
  for (int i = 0; i < 100; ++i) {
    REQUIRE(b.try_enter(permit, at(0s)));
    b.leave(permit, verdict::failure, at(0s));
  }
  REQUIRE(b.state() == breaker_state::open);
  REQUIRE(b.try_enter(permit, at(10s)));
  b.leave(permit, verdict::failure, at(10s));
  CHECK(b.state() == breaker_state::open);
  REQUIRE(b.try_enter(permit, at(20s)));
  b.leave(permit, verdict::success, at(20s));
  CHECK(b.state() == breaker_state::closed);
}

TEST_CASE("bug 8: a retry, inside or outside, keeps the half-open limit", "[conformance]") {
  const bool retry_inside = GENERATE(true, false);
  stage s;
  hf::circuit_breaker breaker({.consecutive_failures = 1, .open_for = 10s});
  const hf::retry retry{.max_attempts = 3, .wait = {.base = 1s, .jitter = hf::jitter::none}};
  int touched = 0;
  int running = 0;
  int most = 0;
  const auto failing = [&]() -> asio::awaitable<int> {
    ++touched;
    most = std::max(most, ++running);
    co_await hf::sleep_for(500ms);
    --running;
    throw std::runtime_error("down");
  };
  const auto fire = [&](const auto& pipe) {
    for (int i = 0; i < 10; ++i) {
      s.start([&]() -> asio::awaitable<void> {
        const auto r = co_await pipe(failing);
        CHECK(r.has_error());
      });
    }
    s.run();
  };
  const auto scenario = [&](const auto& pipe) {
    s.play([&]() -> asio::awaitable<void> {
      const auto r = co_await pipe(failing);
      CHECK(r.has_error());
    });
    REQUIRE(breaker.state() == breaker_state::open);
    s.time.run_for(10s);
    touched = most = 0;
    fire(pipe);
    CHECK(most == 1);
    CHECK(breaker.state() == breaker_state::open);
  };
  if (retry_inside) {
    // One operation is the probe, with all its attempts, and its failure is one.
    scenario(hf::pipeline().with(retry).with(breaker));
    CHECK(touched == 3);
  } else {
    // Each attempt asks the breaker; after the first failed probe it refuses, and a refusal is not
    // retried.
    scenario(hf::pipeline().with(breaker).with(retry));
    CHECK(touched == 1);
  }
  CHECK(breaker.snapshot(s.time.now()).probes_in_flight == 0);
}

TEST_CASE("bug 9: a link that is skipped while its circuit is open is still probed",
          "[conformance]") {
  stage s;
  hf::circuit_breaker first({.name = "first", .consecutive_failures = 1, .open_for = 10s});
  bool healthy = false;
  int asked = 0;
  const auto primary = [&]() -> asio::awaitable<int> {
    ++asked;
    if (!healthy) throw std::runtime_error("down");
    co_return 1;
  };
  const auto secondary = []() -> asio::awaitable<int> { co_return 2; };
  s.play([&]() -> asio::awaitable<void> {
    const auto chain = hf::resilient(primary).with(first).fallback(secondary);
    auto r = co_await chain.run();
    CHECK(r.value() == 2);
    healthy = true;
    for (int i = 0; i < 9; ++i) {
      co_await hf::sleep_for(1s);
      r = co_await chain.run();
      CHECK(r.value() == 2);
    }
    CHECK(asked == 1);
    co_await hf::sleep_for(1s);
    r = co_await chain.run();
    CHECK(r.value() == 1);  // traffic of its own was the probe
    CHECK(first.state() == breaker_state::closed);
  });
}
