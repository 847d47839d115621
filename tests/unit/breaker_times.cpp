// SPDX-License-Identifier: BSL-1.0
// How long a circuit stays open, and what is known of the time it has spent.
#include "../support/breaker_calls.hpp"

using namespace test;

namespace {

/// Ends a call with a failure that carries a hint of the service's.
void fail(breaker_core& b, hf::time_point t, hf::duration hint = -1ns, std::uint64_t random = 0) {
  const auto permit = enter(b, t);
  b.leave(permit, verdict::failure, {.now = t, .retry_after = hint, .random = random});
}

}  // namespace

TEST_CASE("open time: grows each time the circuit opens anew, up to its limit", "[breaker]") {
  breaker_core b(
      {.consecutive_failures = 1, .open_for = 10s, .open_growth = 2.0, .max_open_for = 50s});
  hf::time_point t = at(0s);
  for (const hf::duration expected : {10s, 20s, 40s, 50s, 50s}) {
    fail(b, t);
    CHECK(b.remaining_open(t) == expected);
    t += expected;
  }
  call(b, verdict::success, t);  // closed
  fail(b, t);
  CHECK(b.remaining_open(t) == 10s);
  b.reset(t);
  fail(b, t);
  CHECK(b.remaining_open(t) == 10s);
}

TEST_CASE("open time: a step of the recovery that fails makes it grow as well", "[breaker]") {
  breaker_core b(
      {.consecutive_failures = 1,
       .open_for = 10s,
       .open_growth = 3.0,
       .recovery = hf::recovery_ramp{.failed_step = hf::recovery_ramp::on_failure::open}});
  fail(b, at(0s));
  call(b, verdict::success, at(10s));
  REQUIRE(b.state() == breaker_state::recovering);
  for (int i = 0; i < 30; ++i) call(b, verdict::failure, at(11s));
  CHECK(b.state() == breaker_state::open);
  CHECK(b.remaining_open(at(11s)) == 30s);
}

TEST_CASE("open time: may be as short as the clock tells, and as long as there is time",
          "[breaker]") {
  breaker_core brief({.consecutive_failures = 1, .open_for = 1ns});
  fail(brief, at(0s));
  CHECK(brief.remaining_open(at(0s)) == 1ns);
  const hf::circuit_breaker_options o{
      .open_for = 1h, .open_growth = 1000, .max_open_for = hf::duration::max()};
  CHECK(hf::detail::open_time(o, 9, 0) == hf::duration::max());
}

TEST_CASE("open time: jitter takes its share of the time, at the limit too", "[breaker]") {
  const std::uint64_t most = ~std::uint64_t{0};
  breaker_core b({.consecutive_failures = 1,
                  .open_for = 10s,
                  .open_growth = 10.0,
                  .max_open_for = 20s,
                  .open_jitter = 0.25});
  fail(b, at(0s), -1ns, 0);
  CHECK(b.remaining_open(at(0s)) == 10s);
  b.reset(at(0s));
  fail(b, at(0s), -1ns, most / 2);
  CHECK(b.remaining_open(at(0s)) > 8749ms);
  CHECK(b.remaining_open(at(0s)) < 8751ms);
  b.reset(at(0s));
  fail(b, at(0s), -1ns, most);
  CHECK(b.remaining_open(at(0s)) >= 7500ms);
  CHECK(b.remaining_open(at(0s)) < 7501ms);
  fail(b, at(10s), -1ns, most);
  CHECK(b.remaining_open(at(10s)) < 15001ms);
  CHECK(b.remaining_open(at(10s)) >= 15s);
}

TEST_CASE("open time: a hint makes it longer, never shorter, and not beyond its bound",
          "[breaker]") {
  breaker_core b({.consecutive_failures = 1, .open_for = 10s, .max_retry_after = 60s});
  const auto [hint, expected] = GENERATE(table<hf::duration, hf::duration>(
      {{-1ns, 10s}, {0s, 10s}, {9s, 10s}, {11s, 11s}, {60s, 60s}, {1h, 60s}}));
  fail(b, at(0s), hint);
  CHECK(b.remaining_open(at(0s)) == expected);
  // A failed probe's hint likewise.
  fail(b, at(expected), hint);
  CHECK(b.remaining_open(at(expected)) == expected);
}

TEST_CASE("open time: hints are ignored if told so", "[breaker]") {
  breaker_core b({.consecutive_failures = 1, .open_for = 10s, .max_retry_after = 0s});
  fail(b, at(0s), 1h);
  CHECK(b.remaining_open(at(0s)) == 10s);
}

TEST_CASE("open time: a late call's hint extends it, within the bound of its opening",
          "[breaker]") {
  breaker_core b({.consecutive_failures = 1, .open_for = 10s, .max_retry_after = 60s});
  std::vector<breaker_permit> late;
  for (int i = 0; i < 8; ++i) late.push_back(enter(b, at(0s)));
  fail(b, at(0s));
  const auto end = [&](std::size_t i, verdict v, hf::duration t, hf::duration hint) {
    b.leave(late[i], v, {.now = at(t), .retry_after = hint});
  };
  end(0, verdict::failure, 1s, 2s);
  CHECK(b.remaining_open(at(1s)) == 9s);  // not shortened
  end(1, verdict::throttled, 1s, 20s);
  CHECK(b.remaining_open(at(1s)) == 20s);
  end(6, verdict::success, 1s, 30s);
  end(7, verdict::slow, 1s, 30s);
  CHECK(b.remaining_open(at(1s)) == 20s);  // who answers well wants nothing
  end(2, verdict::failure, 5s, 1h);
  CHECK(b.remaining_open(at(5s)) == 55s);
  end(3, verdict::failure, 50s, 1h);
  CHECK(b.remaining_open(at(50s)) == 10s);  // again and again changes nothing
  const auto probe = enter(b, at(60s));
  end(4, verdict::failure, 60s, 30s);  // half-open: too late
  CHECK(b.state() == breaker_state::half_open);
  b.leave(probe, verdict::failure, at(61s));
  end(5, verdict::failure, 61s, 50s);  // from two openings ago
  CHECK(b.remaining_open(at(61s)) == 10s);
}

TEST_CASE("time: spent in each state, from birth on", "[breaker]") {
  breaker_core b({.consecutive_failures = 1, .open_for = 10s}, at(0s));
  fail(b, at(60s));                                       // open
  const auto probe = enter(b, at(75s));                   // half-open
  b.leave(probe, verdict::success, at(78s));              // closed
  b.isolate(at(100s));
  const auto s = b.snapshot(at(107s));
  CHECK(s.time_in(breaker_state::closed) == 60s + 22s);
  CHECK(s.time_in(breaker_state::open) == 15s);
  CHECK(s.time_in(breaker_state::half_open) == 3s);
  CHECK(s.time_in(breaker_state::isolated) == 7s);
  CHECK(s.time_in(breaker_state::recovering) == 0s);
  CHECK(s.in_this_state == 7s);
  hf::duration all{};
  for (const auto d : s.time_in_state) all += d;
  CHECK(all == 107s);
}

TEST_CASE("time: a clock that is behind takes nothing away", "[breaker]") {
  breaker_core b({.consecutive_failures = 1, .open_for = 10s}, at(0s));
  fail(b, at(60s));
  b.reset(at(50s));
  const auto s = b.snapshot(at(40s));
  CHECK(s.time_in(breaker_state::open) == 0s);
  CHECK(s.in_this_state == 0s);
}

TEST_CASE("time: changes to half-open within the last hour", "[breaker]") {
  breaker_core b({.consecutive_failures = 1, .open_for = 10s}, at(0s));
  fail(b, at(0s));
  for (int i = 1; i <= 12; ++i) fail(b, at(10min * i));  // a probe that fails, every ten minutes
  CHECK(b.snapshot(at(120min)).half_open_last_hour == 6);
  CHECK(b.snapshot(at(129min)).half_open_last_hour == 6);
  CHECK(b.snapshot(at(130min)).half_open_last_hour == 5);
  CHECK(b.snapshot(at(180min)).half_open_last_hour == 0);
}
