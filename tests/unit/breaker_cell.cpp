// SPDX-License-Identifier: BSL-1.0
// A breaker of a keyed family: the same behaviour in two cache lines.
#include <holdfast/detail/breaker_cell.hpp>
#include <holdfast/invalid_options.hpp>
#include <map>
#include <memory>
#include <random>
#include <thread>

#include "../support/breaker_calls.hpp"
#include "../support/seed.hpp"

using namespace test;
using hf::detail::breaker_cell;
using hf::detail::breaker_rules;
using hf::detail::breaker_size;

namespace {

std::unique_ptr<breaker_rules> rules(hf::circuit_breaker_options o) {
  return std::make_unique<breaker_rules>(std::move(o), breaker_size::compact);
}

}  // namespace

TEST_CASE("cell: at most 256 bytes, and in fact two cache lines", "[breaker_cell]") {
  STATIC_CHECK(sizeof(breaker_cell) <= 128);
  // What a million of them cost besides is nothing: no allocation while they are closed.
}

TEST_CASE("cell: behaves as a named breaker does, call by call", "[breaker_cell]") {
  const test::seed seed(GENERATE(range(1u, 61u)));
  std::mt19937_64 random(seed);
  const auto below = [&](std::uint64_t n) { return random() % n; };
  hf::circuit_breaker_options o;
  o.consecutive_failures = static_cast<unsigned>(below(6));
  o.failure_rate =
      o.consecutive_failures == 0 || below(2) ? 0.1 * static_cast<double>(1 + below(9)) : 0;
  o.slow_rate = below(2) ? 0.1 * static_cast<double>(1 + below(9)) : 0;
  o.slow_counts_as_failure = below(2) == 0;
  o.window = hf::duration(1s) * static_cast<std::int64_t>(1 + below(10));
  o.minimum_calls = static_cast<unsigned>(1 + below(12));
  o.open_for = hf::duration(500ms) * static_cast<std::int64_t>(1 + below(10));
  o.open_growth = 1.0 + static_cast<double>(below(3)) / 2;
  o.half_open_probes = static_cast<unsigned>(1 + below(3));
  o.successes_to_close = static_cast<unsigned>(1 + below(3));
  o.half_open_calls = static_cast<unsigned>(below(3) * 2);
  o.probe_lease = hf::duration(500ms) * static_cast<std::int64_t>(1 + below(10));
  if (below(2)) {
    o.recovery =
        hf::recovery_ramp{.steps = {{.share = 0.3, .minimum_calls = 2, .at_least = 0s},
                                    {.share = 0.6, .minimum_calls = 3, .at_least = 300ms}}};
  }
  const auto shared = rules(o);
  breaker_cell cell(*shared);
  breaker_core named(o, at(0s));
  std::vector<std::pair<breaker_permit, breaker_permit>> running;
  hf::time_point now = at(0s);
  int refusals = 0;
  for (int i = 0; i < 4000; ++i) {
    if (below(3) == 0) now += hf::duration(static_cast<std::int64_t>(below(700'000'000)));
    const auto what = below(200);
    if (what < 100) {
      breaker_permit a;
      breaker_permit b;
      const bool admitted = cell.try_enter(a, now);
      REQUIRE(admitted == named.try_enter(b, now));
      if (admitted) running.emplace_back(a, b);
      refusals += !admitted;
    } else if (what < 198) {
      if (running.empty()) continue;
      const auto which =
          static_cast<std::ptrdiff_t>(below(std::min<std::size_t>(running.size(), 5)));
      const auto [a, b] = running[static_cast<std::size_t>(which)];
      running.erase(running.begin() + which);
      const auto v = static_cast<verdict>(below(3) ? below(3) : below(7));
      cell.leave(a, v, now);
      named.leave(b, v, now);
    } else if (what == 198) {
      cell.isolate(now);
      named.isolate(now);
    } else {
      cell.reset(now);
      named.reset(now);
    }
    const auto a = cell.snapshot(now);
    const auto b = named.snapshot(now);
    REQUIRE(a.state == b.state);
    REQUIRE(a.generation == b.generation);
    REQUIRE(a.consecutive_failures == b.consecutive_failures);
    REQUIRE(a.calls_in_window == b.calls_in_window);
    REQUIRE(a.failed_in_window == b.failed_in_window);
    REQUIRE(a.slow_in_window == b.slow_in_window);
    REQUIRE(a.remaining_open == b.remaining_open);
    REQUIRE(a.probes_in_flight == b.probes_in_flight);
    REQUIRE(a.recovery_step == b.recovery_step);
    REQUIRE(a.share == b.share);
    REQUIRE(a.refused == b.refused);
  }
  CHECK(refusals > 0);
}

TEST_CASE("cell: a probe from before it closed has no say in a later trial", "[breaker_cell]") {
  // What a cell knows of its probes is given away when it closes; their numbers must not come
  // again.
  const auto shared = rules({.consecutive_failures = 1, .open_for = 10s, .half_open_probes = 2});
  breaker_cell b(*shared);
  call(b, verdict::failure, at(0s));
  const auto lost = enter(b, at(10s));
  CHECK(call(b, verdict::success, at(10s)));
  REQUIRE(b.state() == breaker_state::closed);
  call(b, verdict::failure, at(11s));
  const auto current = enter(b, at(21s));
  b.leave(lost, GENERATE(verdict::success, verdict::failure, verdict::neutral), at(22s));
  CHECK(b.state() == breaker_state::half_open);
  CHECK(b.snapshot(at(22s)).probes_in_flight == 1);
  b.leave(current, verdict::success, at(23s));
  CHECK(b.state() == breaker_state::closed);
}

TEST_CASE("cell: a long call is slow when it ends", "[breaker_cell]") {
  const auto shared = rules({.consecutive_failures = 0,
                             .slow_rate = 0.5,
                             .slow_after = 1s,
                             .minimum_calls = 2});
  breaker_cell b(*shared);
  CHECK(call(b, verdict::success, at(0s), 999ms));
  CHECK(call(b, verdict::success, at(0s), 1s));
  CHECK(b.state() == breaker_state::open);
}

TEST_CASE("cell: events go to the family, by the name that it gives", "[breaker_cell]") {
  const auto shared = rules({.name = "hosts", .consecutive_failures = 1, .open_for = 10s});
  breaker_cell a(*shared);
  breaker_cell b(*shared);
  std::vector<std::string> seen;
  const auto listening = shared->events.subscribe([&](const hf::breaker_transition& t) {
    seen.push_back(t.name + " " + std::string(to_string(t.to)));
  });
  call(a, verdict::failure, at(0s));
  shared->name_of = [&](const void* which) { return which == &a ? "a" : "b"; };
  call(b, verdict::failure, at(0s));
  call(a, verdict::success, at(10s));
  CHECK(seen == std::vector<std::string>{"hosts open", "b open", "a half_open", "a closed"});
}

TEST_CASE("cell: a family's options change for all of its breakers", "[breaker_cell]") {
  const auto shared = rules({.name = "x", .consecutive_failures = 5, .window = 10s});
  breaker_cell b(*shared);
  CHECK(calls(3, b, verdict::failure, at(0s)) == 3);
  CHECK_THROWS_AS(shared->reconfigure({.name = "x", .window_calls = 10}), hf::invalid_options);
  CHECK_THROWS_AS(shared->reconfigure({.name = "y"}), hf::invalid_options);
  CHECK_THROWS_AS(shared->reconfigure({.name = "x", .minimum_calls = 10'001}), hf::invalid_options);
  shared->reconfigure({.name = "x", .consecutive_failures = 4, .window = 20s});
  CHECK(b.snapshot(at(0s)).consecutive_failures == 3);
  CHECK(call(b, verdict::failure, at(0s)));
  CHECK(b.state() == breaker_state::open);
}

TEST_CASE("cell: threads on many cells of one family", "[breaker_cell][threads]") {
  // Real threads; the cells share their locks.
  const auto shared = rules({.consecutive_failures = 2,
                             .failure_rate = 0.5,
                             .minimum_calls = 4,
                             .open_for = 50ns,
                             .half_open_probes = 2,
                             .recovery = hf::recovery_ramp{.steps = {{.share = 0.5,
                                                                      .minimum_calls = 2,
                                                                      .at_least = 0s}}}});
  std::vector<std::unique_ptr<breaker_cell>> cells;
  for (int i = 0; i < 8; ++i) cells.push_back(std::make_unique<breaker_cell>(*shared));
  std::atomic<std::int64_t> time{1'000'000};
  std::atomic<int> events{0};
  const auto listening = shared->events.subscribe([&](const auto&) { ++events; });
  {
    std::vector<std::jthread> threads;
    for (unsigned t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937 random(t);
        for (int i = 0; i < 20'000; ++i) {
          const hf::time_point now(hf::duration(time.fetch_add(7)));
          auto& b = *cells[random() % cells.size()];
          breaker_permit permit;
          if (b.try_enter(permit, now)) {
            b.leave(permit, static_cast<verdict>(random() % 7), now);
          }
          if (random() % 1000 == 0) b.reset(now);
          if (random() % 100 == 0) (void)b.snapshot(now);
        }
      });
    }
  }
  CHECK(events > 100);
  const hf::time_point end(hf::duration(time + 1000));
  for (const auto& b : cells) {
    CHECK(b->snapshot(end).probes_in_flight == 0);
    b->reset(end);
    CHECK(call(*b, verdict::success, end));
  }
}

TEST_CASE("cell: good calls are judged anew after it has closed, in the same period too",
          "[breaker_cell]") {
  const auto shared = rules({.consecutive_failures = 0,
                             .failure_rate = 0.5,
                             .window = 100s,
                             .minimum_calls = 4,
                             .open_for = 1ns});
  breaker_cell b(*shared);
  CHECK(calls(4, b, verdict::success, at(0s)) == 4);
  CHECK(call(b, verdict::failure, at(0s)));  // 1 of 5: judged, and well
  CHECK(calls(3, b, verdict::failure, at(0s)) == 3);
  REQUIRE(b.state() == breaker_state::open);
  CHECK(call(b, verdict::success, at(1s)));
  REQUIRE(b.state() == breaker_state::closed);
  CHECK(calls(3, b, verdict::failure, at(1s)) == 3);
  CHECK(call(b, verdict::success, at(1s)));  // 3 of 4
  CHECK(b.state() == breaker_state::open);
}

TEST_CASE("cell: what it needs while it is not closed it gives back", "[breaker_cell]") {
  const auto shared = rules({.consecutive_failures = 1, .open_for = 1s});
  breaker_cell b(*shared);
  CHECK(call(b, verdict::failure, at(0s)));
  CHECK(b.peek_side() != nullptr);
  CHECK(call(b, verdict::success, at(1s)));
  CHECK(b.peek_side() == nullptr);
}

TEST_CASE("cell: the most calls that a window can tell apart may be its minimum",
          "[breaker_cell]") {
  CHECK_NOTHROW(rules({.minimum_calls = 10'000}));
  CHECK_THROWS_AS(rules({.minimum_calls = 10'001}), hf::invalid_options);
}

TEST_CASE("cell: a family's window is another one when it is told so", "[breaker_cell]") {
  const auto shared = rules({.name = "x", .failure_rate = 1, .window = 100s});
  breaker_cell b(*shared);
  shared->reconfigure({.name = "x", .failure_rate = 1, .window = 10s});
  CHECK(call(b, verdict::success, at(0s)));
  CHECK(b.snapshot(at(5s)).calls_in_window == 1);
  CHECK(b.snapshot(at(15s)).calls_in_window == 0);
}
