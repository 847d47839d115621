// SPDX-License-Identifier: BSL-1.0
#include <catch2/catch_all.hpp>
#include <deque>
#include <holdfast/detail/breaker_core.hpp>
#include <holdfast/policy/circuit_breaker.hpp>
#include <map>
#include <random>
#include <vector>

#include "../support/seed.hpp"

namespace hf = holdfast;
using hf::breaker_cause;
using hf::breaker_state;
using hf::verdict;
using hf::detail::breaker_core;
using hf::detail::breaker_permit;
using namespace std::chrono_literals;

namespace {

hf::time_point at(hf::duration d) { return hf::time_point(1h + d); }

/// One call from beginning to end. False: refused.
bool call(breaker_core& b, verdict v, hf::time_point t) {
  breaker_permit permit;
  if (!b.try_enter(permit, t)) return false;
  b.leave(permit, v, t);
  return true;
}

/// A breaker of two failures, open for ten seconds, opened at `at(0s)`.
struct opened {
  explicit opened(hf::circuit_breaker_options o = {}) : core(adjusted(std::move(o))) {
    REQUIRE(call(core, verdict::failure, at(0s)));
    REQUIRE(call(core, verdict::failure, at(0s)));
    REQUIRE(core.state() == breaker_state::open);
  }
  static hf::circuit_breaker_options adjusted(hf::circuit_breaker_options o) {
    o.consecutive_failures = 2;
    o.open_for = 10s;
    return o;
  }
  breaker_core core;
};

}  // namespace

TEST_CASE("closed: bad verdicts in a row open it, a success begins anew", "[breaker]") {
  breaker_core b({.name = "x", .consecutive_failures = 3, .open_for = 10s});
  const verdict bad = GENERATE(verdict::failure, verdict::slow, verdict::overloaded);
  CHECK(call(b, bad, at(0s)));
  CHECK(call(b, bad, at(0s)));
  CHECK(b.snapshot(at(0s)).consecutive_failures == 2);
  CHECK(call(b, verdict::success, at(0s)));
  CHECK(b.snapshot(at(0s)).consecutive_failures == 0);
  CHECK(call(b, bad, at(1s)));
  CHECK(call(b, bad, at(1s)));
  CHECK(b.state() == breaker_state::closed);
  CHECK(call(b, bad, at(1s)));
  CHECK(b.state() == breaker_state::open);
  CHECK(b.remaining_open(at(2s)) == 9s);
}

TEST_CASE("closed: verdicts that say nothing of the service neither count nor reset", "[breaker]") {
  breaker_core b({.consecutive_failures = 2});
  const verdict mute = GENERATE(verdict::neutral, verdict::request_fault, verdict::throttled);
  CHECK(call(b, verdict::failure, at(0s)));
  for (int i = 0; i < 10; ++i) CHECK(call(b, mute, at(0s)));
  CHECK(b.state() == breaker_state::closed);
  CHECK(b.snapshot(at(0s)).consecutive_failures == 1);
  CHECK(call(b, verdict::failure, at(0s)));
  CHECK(b.state() == breaker_state::open);
}

TEST_CASE("closed: the rate opens it, not below the minimum of calls", "[breaker]") {
  breaker_core b(
      {.consecutive_failures = 0, .failure_rate = 0.5, .window = 10s, .minimum_calls = 6});
  for (int i = 0; i < 5; ++i) CHECK(call(b, verdict::failure, at(0s)));
  CHECK(b.state() == breaker_state::closed);
  CHECK(call(b, verdict::failure, at(0s)));
  CHECK(b.state() == breaker_state::open);
}

TEST_CASE("closed: exactly the rate opens it, less does not", "[breaker]") {
  breaker_core b(
      {.consecutive_failures = 0, .failure_rate = 0.5, .window = 10s, .minimum_calls = 4});
  for (int i = 0; i < 3; ++i) CHECK(call(b, verdict::success, at(0s)));
  CHECK(call(b, verdict::failure, at(0s)));
  CHECK(call(b, verdict::failure, at(0s)));
  CHECK(b.state() == breaker_state::closed);  // 2 of 5
  CHECK(call(b, verdict::failure, at(0s)));   // 3 of 6
  CHECK(b.state() == breaker_state::open);
}

TEST_CASE("closed: a success can open it, as good calls leave the window", "[breaker]") {
  breaker_core b(
      {.consecutive_failures = 0, .failure_rate = 0.5, .window = 10s, .minimum_calls = 4});
  for (int i = 0; i < 4; ++i) CHECK(call(b, verdict::success, at(0s)));
  for (int i = 0; i < 3; ++i) CHECK(call(b, verdict::failure, at(5s)));
  CHECK(b.state() == breaker_state::closed);  // 3 of 7
  CHECK(call(b, verdict::success, at(11s)));  // 3 of 4: the first four have left
  CHECK(b.state() == breaker_state::open);
  CHECK(b.remaining_open(at(11s)) == 30s);
}

TEST_CASE("open: refuses for the whole time, then admits one probe", "[breaker]") {
  opened o;
  breaker_permit permit;
  CHECK_FALSE(o.core.try_enter(permit, at(0s)));
  CHECK_FALSE(o.core.try_enter(permit, at(10s - 1ns)));
  CHECK(o.core.remaining_open(at(10s - 1ns)) == 1ns);
  CHECK(o.core.state() == breaker_state::open);
  CHECK(o.core.snapshot(at(1s)).refused == 2);
  CHECK(o.core.try_enter(permit, at(10s)));
  CHECK(o.core.state() == breaker_state::half_open);
  CHECK(o.core.remaining_open(at(10s)) == 0s);
  CHECK(permit.is_probe());
  breaker_permit second;
  CHECK_FALSE(o.core.try_enter(second, at(10s)));
  CHECK(o.core.snapshot(at(10s)).refused == 3);
  CHECK(o.core.snapshot(at(10s)).probes_in_flight == 1);
}

TEST_CASE("half-open: a good probe closes, and the count begins anew", "[breaker]") {
  opened o;
  CHECK(call(o.core, verdict::success, at(10s)));
  CHECK(o.core.state() == breaker_state::closed);
  CHECK(o.core.snapshot(at(10s)).consecutive_failures == 0);
  CHECK(call(o.core, verdict::failure, at(10s)));
  CHECK(o.core.state() == breaker_state::closed);
}

TEST_CASE("half-open: a bad probe opens again for the whole time", "[breaker]") {
  opened o;
  const verdict bad = GENERATE(verdict::failure, verdict::slow, verdict::overloaded);
  breaker_permit permit;
  REQUIRE(o.core.try_enter(permit, at(12s)));
  o.core.leave(permit, bad, at(15s));
  CHECK(o.core.state() == breaker_state::open);
  CHECK(o.core.remaining_open(at(15s)) == 10s);
}

TEST_CASE("half-open: k successes close it; a failure in between opens it", "[breaker]") {
  opened o({.successes_to_close = 3});
  CHECK(call(o.core, verdict::success, at(10s)));
  CHECK(call(o.core, verdict::success, at(10s)));
  CHECK(o.core.state() == breaker_state::half_open);
  CHECK(o.core.snapshot(at(10s)).probe_successes == 2);
  SECTION("the third") {
    CHECK(call(o.core, verdict::success, at(10s)));
    CHECK(o.core.state() == breaker_state::closed);
  }
  SECTION("a failure, and the count begins anew") {
    CHECK(call(o.core, verdict::failure, at(10s)));
    CHECK(o.core.state() == breaker_state::open);
    CHECK(call(o.core, verdict::success, at(20s)));
    CHECK(call(o.core, verdict::success, at(20s)));
    CHECK(o.core.state() == breaker_state::half_open);
  }
}

TEST_CASE("by hand: isolate refuses until reset, from any state", "[breaker]") {
  opened o;
  const int from = GENERATE(0, 1, 2);
  if (from == 1) REQUIRE(call(o.core, verdict::success, at(10s)));  // closed
  breaker_permit probe;
  if (from == 2) REQUIRE(o.core.try_enter(probe, at(10s)));  // half-open
  o.core.isolate(at(11s));
  CHECK(o.core.state() == breaker_state::isolated);
  const auto generation = o.core.snapshot(at(11s)).generation;
  o.core.isolate(at(11s));  // again: nothing changes
  CHECK(o.core.snapshot(at(11s)).generation == generation);
  CHECK(o.core.remaining_open(at(11s)) == 0s);
  if (from == 2) o.core.leave(probe, verdict::success, at(12s));
  CHECK_FALSE(call(o.core, verdict::success, at(1000h)));
  CHECK(o.core.state() == breaker_state::isolated);
  o.core.reset(at(1000h));
  CHECK(o.core.state() == breaker_state::closed);
  CHECK(call(o.core, verdict::failure, at(1000h)));
  CHECK(o.core.state() == breaker_state::closed);
  CHECK(call(o.core, verdict::failure, at(1000h)));
  CHECK(o.core.state() == breaker_state::open);
}

TEST_CASE("every transition tells its cause, in an unbroken chain", "[breaker]") {
  breaker_core b({.name = "svc", .consecutive_failures = 1, .open_for = 10s});
  std::vector<hf::breaker_transition> seen;
  const auto sub = b.on_transition([&](const hf::breaker_transition& t) { seen.push_back(t); });
  call(b, verdict::failure, at(0s));
  call(b, verdict::failure, at(10s));
  call(b, verdict::success, at(20s));
  b.isolate(at(21s));
  b.reset(at(22s));
  const std::vector<std::pair<breaker_state, breaker_cause>> expected{
      {breaker_state::open, breaker_cause::consecutive_failures},
      {breaker_state::half_open, breaker_cause::open_time_over},
      {breaker_state::open, breaker_cause::probe_failed},
      {breaker_state::half_open, breaker_cause::open_time_over},
      {breaker_state::closed, breaker_cause::probes_succeeded},
      {breaker_state::isolated, breaker_cause::isolated_by_hand},
      {breaker_state::closed, breaker_cause::reset_by_hand}};
  REQUIRE(seen.size() == expected.size());
  breaker_state last = breaker_state::closed;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    CHECK(seen[i].name == "svc");
    CHECK(seen[i].from == last);
    CHECK(seen[i].to == expected[i].first);
    CHECK(seen[i].cause == expected[i].second);
    CHECK(seen[i].generation == i + 1);
    last = seen[i].to;
  }
  CHECK(seen[0].at == at(0s));
  CHECK(seen[6].at == at(22s));
}

TEST_CASE("an open time without end never overflows", "[breaker]") {
  breaker_core b({.consecutive_failures = 1, .open_for = hf::duration::max()});
  call(b, verdict::failure, at(0s));
  CHECK(b.state() == breaker_state::open);
  CHECK(b.remaining_open(at(0s)) > 24h * 365 * 100);
  CHECK_FALSE(call(b, verdict::success, at(24h * 365 * 100)));
}

TEST_CASE("states and causes have names", "[breaker]") {
  CHECK(to_string(breaker_state::closed) == "closed");
  CHECK(to_string(breaker_state::open) == "open");
  CHECK(to_string(breaker_state::half_open) == "half_open");
  CHECK(to_string(breaker_state::isolated) == "isolated");
  CHECK(to_string(static_cast<breaker_state>(99)) == "unknown");
  CHECK(to_string(breaker_cause::consecutive_failures) == "consecutive_failures");
  CHECK(to_string(breaker_cause::failure_rate) == "failure_rate");
  CHECK(to_string(breaker_cause::open_time_over) == "open_time_over");
  CHECK(to_string(breaker_cause::probe_failed) == "probe_failed");
  CHECK(to_string(breaker_cause::probes_succeeded) == "probes_succeeded");
  CHECK(to_string(breaker_cause::isolated_by_hand) == "isolated_by_hand");
  CHECK(to_string(breaker_cause::reset_by_hand) == "reset_by_hand");
  CHECK(to_string(static_cast<breaker_cause>(99)) == "unknown");
}

namespace {

/// The breaker as one would write it without thought for speed or threads.
struct reference {
  hf::circuit_breaker_options o;
  breaker_state state = breaker_state::closed;
  std::uint64_t generation = 0;
  unsigned in_a_row = 0;
  std::deque<std::pair<hf::time_point, bool>> window;  // true: bad
  hf::time_point open_until{};
  std::map<std::uint64_t, hf::time_point> probes;  // number and end of lease
  unsigned good_probes = 0;
  std::uint64_t last_probe = 0;
  std::uint64_t refused = 0;

  struct permit {
    std::uint64_t generation;
    std::uint64_t probe;
  };

  void change(breaker_state to, hf::time_point now) {
    state = to;
    ++generation;
    in_a_row = 0;
    window.clear();
    probes.clear();
    good_probes = 0;
    if (to == breaker_state::open) open_until = hf::saturating_add(now, o.open_for);
  }

  std::optional<permit> enter(hf::time_point now) {
    if (state == breaker_state::open && now >= open_until) change(breaker_state::half_open, now);
    switch (state) {
      case breaker_state::closed: return permit{generation, 0};
      case breaker_state::half_open:
        if (overdue(now)) {
          change(breaker_state::open, now);
          break;
        }
        if (probes.size() >= o.half_open_probes) break;
        probes[++last_probe] = now + o.probe_lease;
        return permit{generation, last_probe};
      default: break;
    }
    ++refused;
    return std::nullopt;
  }

  bool overdue(hf::time_point now) const {
    return std::ranges::any_of(probes, [&](const auto& p) { return p.second <= now; });
  }

  void leave(const permit& p, verdict v, hf::time_point now) {
    if (state == breaker_state::half_open && p.probe != 0 && overdue(now)) {
      return change(breaker_state::open, now);
    }
    if (p.generation != generation) return;
    const bool bad = v == verdict::failure || v == verdict::slow || v == verdict::overloaded;
    if (p.probe != 0) {
      if (probes.erase(p.probe) == 0) return;
      if (v == verdict::success && ++good_probes >= o.successes_to_close) {
        change(breaker_state::closed, now);
      } else if (bad) {
        change(breaker_state::open, now);
      }
      return;
    }
    if (!bad && v != verdict::success) return;
    in_a_row = bad ? in_a_row + 1 : 0;
    if (o.failure_rate > 0) window.emplace_back(now, bad);
    if (bad && o.consecutive_failures && in_a_row >= o.consecutive_failures) {
      return change(breaker_state::open, now);
    }
    if (o.failure_rate > 0) {
      const auto [total, failed] = counts(now);
      if (failed > 0 && total >= o.minimum_calls &&
          static_cast<double>(failed) / static_cast<double>(total) >= o.failure_rate) {
        change(breaker_state::open, now);
      }
    }
  }

  std::pair<std::uint64_t, std::uint64_t> counts(hf::time_point now) const {
    const auto period = [&](hf::time_point t) { return t.time_since_epoch() / (o.window / 10); };
    std::uint64_t total = 0;
    std::uint64_t failed = 0;
    for (const auto& [t, bad] : window) {
      if (period(t) <= period(now) - 10) continue;
      ++total;
      failed += bad;
    }
    return {total, failed};
  }
};

}  // namespace

TEST_CASE("model check against a plain breaker", "[breaker]") {
  const test::seed seed(GENERATE(range(1u, 121u)));
  std::mt19937_64 random(seed);
  const auto below = [&](std::uint64_t n) { return random() % n; };
  hf::circuit_breaker_options o;
  o.consecutive_failures = static_cast<unsigned>(below(6));
  o.failure_rate =
      o.consecutive_failures == 0 || below(2) ? 0.1 * static_cast<double>(1 + below(10)) : 0;
  o.window = hf::duration(1s) * static_cast<std::int64_t>(1 + below(10));
  o.minimum_calls = static_cast<unsigned>(1 + below(12));
  o.open_for = hf::duration(500ms) * static_cast<std::int64_t>(1 + below(10));
  o.half_open_probes = static_cast<unsigned>(1 + below(5));
  o.successes_to_close = static_cast<unsigned>(1 + below(4));
  o.probe_lease = hf::duration(500ms) * static_cast<std::int64_t>(1 + below(10));

  breaker_core b(o);
  reference model;
  model.o = o;
  std::vector<std::pair<breaker_permit, reference::permit>> running;
  hf::time_point now = at(0s);
  const auto bias = below(10);
  int refusals = 0;
  int changes = 0;
  for (int i = 0; i < 3000; ++i) {
    const auto generation = model.generation;
    if (below(3) == 0) now += hf::duration(static_cast<std::int64_t>(below(700'000'000)));
    if (below(400) == 0) now += o.window;
    const auto what = below(100);
    if (what < 48) {
      breaker_permit permit;
      const bool admitted = b.try_enter(permit, now);
      const auto expected = model.enter(now);
      REQUIRE(admitted == expected.has_value());
      if (admitted) running.emplace_back(permit, *expected);
      refusals += !admitted;
    } else if (what < 99) {
      if (running.empty()) continue;
      const auto which = below(std::min<std::uint64_t>(running.size(), 5));
      const auto [permit, expected] = running[which];
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(which));
      verdict v = below(10) < bias ? verdict::failure : verdict::success;
      if (below(6) == 0) v = static_cast<verdict>(below(7));
      b.leave(permit, v, now);
      model.leave(expected, v, now);
    } else if (below(6) == 0) {
      b.isolate(now);
      if (model.state != breaker_state::isolated) model.change(breaker_state::isolated, now);
    } else {
      b.reset(now);
      model.change(breaker_state::closed, now);
    }
    changes += model.generation != generation;
    const auto s = b.snapshot(now);
    REQUIRE(s.state == model.state);
    REQUIRE(s.generation == model.generation);
    REQUIRE(s.consecutive_failures == model.in_a_row);
    REQUIRE(s.probes_in_flight == model.probes.size());
    REQUIRE(s.probe_successes == model.good_probes);
    REQUIRE(s.refused == model.refused);
    const auto [total, failed] = model.counts(now);
    REQUIRE(s.calls_in_window == total);
    REQUIRE(s.bad_in_window == failed);
    REQUIRE(s.remaining_open == (model.state == breaker_state::open
                                     ? std::max(model.open_until - now, hf::duration::zero())
                                     : hf::duration::zero()));
  }
  CHECK(refusals + changes > 0);
}

TEST_CASE("listeners hear of the trial when it begins", "[breaker]") {
  opened o;
  std::vector<breaker_cause> heard;
  const auto listening =
      o.core.on_transition([&](const hf::breaker_transition& t) { heard.push_back(t.cause); });
  breaker_permit probe;
  REQUIRE(o.core.try_enter(probe, at(10s)));
  CHECK(heard == std::vector{breaker_cause::open_time_over});
}

TEST_CASE("a permit gives back what was put into it", "[breaker]") {
  const auto lane = GENERATE(range(0u, 16u));
  const auto timed = breaker_permit::timed(7, breaker_permit::role::timed, lane, at(1s));
  CHECK(timed.is() == breaker_permit::role::timed);
  CHECK(timed.lane() == lane);
  CHECK(timed.start() == at(1s).time_since_epoch().count());
  CHECK(timed.taken(at(3s)) == 2s);
  for (unsigned note = lane; note < 256; note += 16) {
    auto probe = breaker_permit::probe(7, 5);
    probe.set_note(note);
    CHECK(probe.note() == note);
    CHECK(probe.probe_number() == 5);
    CHECK(probe.is_probe());
  }
}
