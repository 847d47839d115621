// SPDX-License-Identifier: BSL-1.0
// How a circuit is tried and how traffic comes back: probes, and the recovery ramp.
#include <cmath>

#include "../support/breaker_calls.hpp"

using namespace test;
using hf::recovery_ramp;

namespace {

/// A breaker that opens at the first failure, for ten seconds, and did so at `at(0s)`.
struct opened {
  explicit opened(hf::circuit_breaker_options o = {}) : core(adjusted(std::move(o))), log(core) {
    REQUIRE(call(core, verdict::failure, at(0s)));
    REQUIRE(core.state() == breaker_state::open);
  }
  static hf::circuit_breaker_options adjusted(hf::circuit_breaker_options o) {
    o.consecutive_failures = 1;
    o.open_for = 10s;
    return o;
  }
  auto snapshot(hf::duration t) const { return core.snapshot(at(t)); }
  breaker_core core;
  change_log log;
};

recovery_ramp halves(recovery_ramp::on_failure then = recovery_ramp::on_failure::back_one_step) {
  return {.steps = {{.share = 0.25, .minimum_calls = 2, .failure_rate = 0.5, .at_least = 0s},
                    {.share = 0.5, .minimum_calls = 4, .failure_rate = 0.3, .at_least = 5s},
                    {.share = 1.0, .minimum_calls = 3, .failure_rate = 1.0, .at_least = 0s}},
          .failed_step = then};
}

}  // namespace

TEST_CASE("half-open: judged by the rate of n probes", "[breaker]") {
  opened o({.half_open_probes = 3, .half_open_calls = 5, .half_open_failure_rate = 0.4});
  SECTION("below the rate it closes, with the last of them") {
    CHECK(call(o.core, verdict::failure, at(10s)));
    for (int i = 0; i < 3; ++i) {
      CHECK(call(o.core, verdict::success, at(10s)));
      CHECK(o.core.state() == breaker_state::half_open);
    }
    CHECK(call(o.core, verdict::success, at(10s)));
    CHECK(o.core.state() == breaker_state::closed);
  }
  SECTION("it opens as soon as the rest cannot change it") {
    CHECK(call(o.core, verdict::failure, at(10s)));
    CHECK(o.core.state() == breaker_state::half_open);
    CHECK(call(o.core, verdict::failure, at(10s)));
    CHECK(o.core.state() == breaker_state::open);
    CHECK(o.log.causes().back() == breaker_cause::probe_failed);
  }
  SECTION("at most three at a time") {
    for (int i = 0; i < 3; ++i) enter(o.core, at(10s));
    breaker_permit permit;
    CHECK_FALSE(o.core.try_enter(permit, at(10s)));
  }
}

TEST_CASE("half-open: a slow probe is bad where slow calls matter", "[breaker]") {
  const bool as_failure = GENERATE(true, false);
  const double slow_rate = GENERATE(0.0, 0.5);
  const bool by_clock = GENERATE(true, false);
  opened o({.slow_rate = slow_rate, .slow_after = 2s, .slow_counts_as_failure = as_failure});
  call(o.core, by_clock ? verdict::success : verdict::slow, at(10s), by_clock ? 2s : 0s);
  CHECK(o.core.state() ==
        (as_failure || slow_rate > 0 ? breaker_state::open : breaker_state::closed));
}

TEST_CASE("recovery: error diffusion admits the first of each ten, not one in ten by chance",
          "[breaker]") {
  hf::detail::recovery_progress p;
  const double share = GENERATE(0.1, 0.2, 0.25, 0.5, 1.0);
  p.begin(0, at(0s));
  const int every = static_cast<int>(1 / share + 0.5);
  for (int i = 0; i < 1000; ++i) REQUIRE(p.admit(share) == (i % every == 0));
}

TEST_CASE("recovery: any share is kept to within one call at any time", "[breaker]") {
  const double share = GENERATE(0.01, 0.07, 0.3, 0.33, 0.6, 0.7, 0.9, 0.99);
  hf::detail::recovery_progress p;
  p.begin(0, at(0s));
  int admitted = 0;
  for (int i = 1; i <= 10'000; ++i) {
    admitted += p.admit(share);
    REQUIRE(std::abs(admitted - share * i) < 1.001);
  }
}

TEST_CASE("recovery: probes, then steps, then closed", "[breaker]") {
  opened o({.recovery = halves()});
  CHECK(call(o.core, verdict::success, at(10s)));
  REQUIRE(o.core.state() == breaker_state::recovering);
  CHECK(o.snapshot(10s).recovery_step == 1);
  CHECK(o.snapshot(10s).share == 0.25);
  CHECK(calls(4, o.core, verdict::success, at(11s)) == 1);  // of two that it needs
  CHECK(o.snapshot(11s).recovery_step == 1);
  CHECK(o.snapshot(11s).refused == 3);
  CHECK(calls(1, o.core, verdict::success, at(11s)) == 1);
  CHECK(o.snapshot(11s).recovery_step == 2);
  CHECK(o.snapshot(11s).share == 0.5);
  // Enough calls, but the step lasts five seconds.
  CHECK(calls(20, o.core, verdict::success, at(12s)) == 10);
  CHECK(o.snapshot(12s).recovery_step == 2);
  CHECK(calls(2, o.core, verdict::success, at(16s)) == 2);  // the first passes the step ...
  CHECK(o.snapshot(16s).recovery_step == 3);                // ... and the second is of the third
  CHECK(calls(2, o.core, verdict::success, at(16s)) == 2);
  CHECK(o.core.state() == breaker_state::closed);
  CHECK(o.snapshot(16s).recovery_step == 0);
  CHECK(o.snapshot(16s).share == 1.0);
  CHECK(o.log.causes() == std::vector{breaker_cause::consecutive_failures,
                                      breaker_cause::open_time_over,
                                      breaker_cause::probes_succeeded, breaker_cause::step_passed,
                                      breaker_cause::step_passed, breaker_cause::step_passed});
  std::vector<double> shares;
  for (const auto& t : o.log.seen) shares.push_back(t.share);
  CHECK(shares == std::vector{0.0, 0.0, 0.25, 0.5, 1.0, 1.0});
}

TEST_CASE("recovery: a failed step leads back one step, the first one to open", "[breaker]") {
  opened o({.recovery = halves()});
  call(o.core, verdict::success, at(10s));
  calls(5, o.core, verdict::success, at(11s));
  REQUIRE(o.snapshot(11s).recovery_step == 2);
  // 30 % of four: the second bad one is enough, whatever follows.
  calls(2, o.core, verdict::failure, at(12s));
  CHECK(o.snapshot(12s).recovery_step == 2);
  calls(1, o.core, verdict::failure, at(12s));
  REQUIRE(o.snapshot(12s).recovery_step == 1);
  CHECK(o.core.state() == breaker_state::recovering);
  calls(1, o.core, verdict::failure, at(13s));  // 1 of 2
  CHECK(o.core.state() == breaker_state::open);
  CHECK(o.core.remaining_open(at(13s)) == 10s);
  const std::vector<breaker_cause> causes = o.log.causes();
  CHECK(std::vector(causes.end() - 2, causes.end()) ==
        std::vector{breaker_cause::step_failed, breaker_cause::step_failed});
}

TEST_CASE("recovery: or straight to open", "[breaker]") {
  opened o({.recovery = halves(recovery_ramp::on_failure::open)});
  call(o.core, verdict::success, at(10s));
  calls(5, o.core, verdict::success, at(11s));
  REQUIRE(o.snapshot(11s).recovery_step == 2);
  calls(3, o.core, verdict::failure, at(12s));
  CHECK(o.core.state() == breaker_state::open);
}

TEST_CASE("recovery: results of an earlier step have no say, nor have those that say nothing",
          "[breaker]") {
  opened o({.recovery = halves()});
  const auto before = enter(o.core, at(10s));
  o.core.leave(before, verdict::success, at(10s));
  const auto first = enter(o.core, at(10s));
  for (int i = 0; i < 8; ++i) calls(1, o.core, verdict::success, at(11s));
  REQUIRE(o.snapshot(11s).recovery_step == 2);
  for (int i = 0; i < 5; ++i) o.core.leave(first, verdict::failure, at(12s));
  CHECK(o.snapshot(12s).recovery_step == 2);
  calls(100, o.core, GENERATE(verdict::neutral, verdict::throttled, verdict::request_fault),
        at(50s));
  CHECK(o.snapshot(50s).recovery_step == 2);
}

TEST_CASE("recovery: by hand it is left like any other state", "[breaker]") {
  opened o({.recovery = recovery_ramp{}});
  call(o.core, verdict::success, at(10s));
  REQUIRE(o.core.state() == breaker_state::recovering);
  const bool isolate = GENERATE(true, false);
  isolate ? o.core.isolate(at(11s)) : o.core.reset(at(11s));
  CHECK(o.core.state() == (isolate ? breaker_state::isolated : breaker_state::closed));
  CHECK(o.snapshot(11s).recovery_step == 0);
}

TEST_CASE("recovery: little traffic gets ahead too", "[breaker]") {
  // One call a minute: a share drawn by lot could leave it waiting for hours.
  opened o({.recovery = recovery_ramp{}});
  hf::duration t = 10s;
  int admitted = 0;
  int made = 0;
  while (o.core.state() != breaker_state::closed) {
    admitted += call(o.core, verdict::success, at(t));
    ++made;
    t += 1min;
    REQUIRE(made < 1000);
  }
  // Five calls for each step: at a tenth the fifth is the 41st, at two tenths the 21st, ...
  CHECK(admitted == 1 + 50);
  CHECK(made == 1 + 41 + 21 + 15 + 11 + 9 + 8 + 7 + 6 + 6 + 5);
}

TEST_CASE("recovery: the default is ten steps of 10 %", "[breaker]") {
  const auto steps = recovery_ramp{}.steps;
  REQUIRE(steps.size() == 10);
  for (std::size_t i = 0; i < 10; ++i) CHECK(steps[i].share == static_cast<double>(i + 1) / 10);
  CHECK_FALSE(hf::circuit_breaker_options{}.recovery.has_value());
}
