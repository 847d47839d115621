// SPDX-License-Identifier: BSL-1.0
// A circuit breaker that measures time, gives probes a timeout, and recovers in steps: cancelled,
// and its executor destroyed, at each step in turn.
#include "sweep.hpp"

namespace {

using namespace sweep;

bool has_code(const hf::result<int>& r, hf::errc code) {
  return r.has_error() && r.error().code() == code;
}

hf::circuit_breaker_options options() {
  return {.name = "breaker",
          .consecutive_failures = 3,
          .failure_rate = 0.9,
          .slow_after = 1ms,
          .minimum_calls = 100,
          .open_for = 10ms,
          .probe_timeout = 4ms};
}

/// Opens the circuit, and lets its time pass.
void open(world& w) {
  for (int i = 0; i < 3; ++i) {
    start_other(w, hf::pipeline().with(w.breaker),
                plain_call{capture(w.other_counts, {{.lasts = 100us, .fails = true}})});
    w.time->run();
  }
  REQUIRE(w.breaker.state() == hf::breaker_state::open);
  w.time->run_for(11ms);
}

auto alone(world& w) { return hf::pipeline().with(w.breaker); }

}  // namespace

TEST_CASE("cancellation sweep: circuit breaker, calls in flight") {
  const auto prepare = [](world& w) { w.breaker.reconfigure(options(), w.time->now()); };
  sweep_policy({.name = "timed", .acts = {{.lasts = 500us}}, .prepare = prepare}, alone);
  sweep_policy({.name = "slow", .acts = {{.lasts = 3ms}}, .prepare = prepare}, alone);
}

TEST_CASE("cancellation sweep: circuit breaker, probes with a timeout") {
  const auto prepare = [](world& w) {
    w.breaker.reconfigure(options(), w.time->now());
    open(w);
  };
  sweep_policy({.name = "in time", .acts = {{.lasts = 500us}}, .prepare = prepare}, alone);
  sweep_policy({.name = "expired",
             .acts = {{.lasts = 9ms}},
             .prepare = prepare,
             .expect = [](auto& r) { return has_code(r, hf::errc::attempt_timeout); }},
            alone);
  sweep_policy({.name = "expired, then another link", .acts = {{.lasts = 9ms}}, .prepare = prepare},
            [](world& w) {
              return hf::pipeline()
                  .with(w.breaker)
                  .fallback(context_call{capture(w.counts, {{.lasts = 9ms}})})
                  .with(hf::timeout{.after = 30ms});
            });
}

TEST_CASE("cancellation sweep: circuit breaker, recovering") {
  const auto prepare = [](world& w) {
    auto o = options();
    o.recovery = hf::recovery_ramp{.steps = {{.share = 1.0, .minimum_calls = 1, .at_least = 0ms}}};
    w.breaker.reconfigure(o, w.time->now());
    open(w);
    start_other(w, hf::pipeline().with(w.breaker),
                plain_call{capture(w.other_counts, {{.lasts = 100us}})});
    w.time->run();
    REQUIRE(w.breaker.state() == hf::breaker_state::recovering);
  };
  sweep_policy({.name = "a step that passes", .acts = {{.lasts = 500us}}, .prepare = prepare}, alone);
  sweep_policy({.name = "a step that fails",
             .acts = {{.lasts = 500us, .fails = true}},
             .prepare = prepare,
             .expect = [](auto& r) { return r.has_error() && r.error().code() == failed_code(); }},
            alone);
}
