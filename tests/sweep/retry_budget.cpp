// SPDX-License-Identifier: BSL-1.0
// Retry with a budget, paid links, waits for an open circuit and the throttle: cancelled, and their
// executor destroyed, at each step in turn. The shared objects outlive every run and must be at
// rest after all of them.
#include "sweep.hpp"

namespace {

using namespace sweep;

bool is_own_failure(const hf::result<int>& r) {
  return r.has_error() && r.error().code() == failed_code();
}

constexpr hf::backoff three_ms{.kind = hf::backoff_kind::constant, .base = 3ms, .cap = 3ms};
const script failing{{.lasts = 1ms, .fails = true}};

}  // namespace

TEST_CASE("cancellation sweep: retry with a budget") {
  const auto mode = GENERATE(hf::budget_mode::ratio, hf::budget_mode::tokens);
  const auto with_budget = [mode](double per_second, unsigned tokens) {
    return [=](world&) {
      const hf::retry_budget budget(
          {.mode = mode, .ratio = 0, .min_per_second = per_second, .max_tokens = tokens});
      return hf::pipeline().with(
          hf::retry{.max_attempts = 3, .wait = three_ms, .budget = budget});
    };
  };
  sweep_policy({.name = "third time lucky",
             .acts = {{.lasts = 1ms, .fails = true},
                      {.lasts = 1ms, .fails = true},
                      {.lasts = 1ms}}},
            with_budget(10, 100));
  sweep_policy({.name = "the budget ends it", .acts = failing, .expect = is_own_failure},
            with_budget(0.1, 3));
}

TEST_CASE("cancellation sweep: a paid link") {
  sweep_policy({.name = "paid", .acts = failing}, [](world& w) {
    const hf::retry_budget budget;
    return hf::pipeline().fallback(context_call{capture(w.counts, {{.lasts = 1ms}})},
                                   {.budget = budget});
  });
  sweep_policy({.name = "not paid", .acts = failing}, [](world& w) {
    const hf::retry_budget none({.ratio = 0, .min_per_second = 0});
    return hf::pipeline()
        .fallback(context_call{capture(w.counts, {{.lasts = 1ms}})}, {.budget = none})
        .fallback(5);
  });
}

TEST_CASE("cancellation sweep: waiting for an open circuit") {
  const auto opened = [](world& w) {
    for (int i = 0; i < 3; ++i) {
      start_other(w, hf::pipeline().with(w.breaker),
                  plain_call{capture(w.other_counts, {{.lasts = 1ms, .fails = true}})});
      w.time->run();
    }
    REQUIRE(w.breaker.state() == hf::breaker_state::open);
  };
  const auto waits = [](world& w) {
    return hf::pipeline().with(w.breaker).with(
        hf::retry{.max_attempts = 1, .wait = three_ms, .wait_for_circuit = 50ms});
  };
  sweep_policy({.name = "until it closes", .acts = {{.lasts = 1ms}}, .prepare = opened}, waits);
  sweep_policy({.name = "while another is the probe",
             .acts = {{.lasts = 1ms}},
             .prepare =
                 [opened](world& w) {
                   opened(w);
                   w.time->run_for(11ms);
                   start_other(w, hf::pipeline().with(w.breaker),
                               plain_call{capture(w.other_counts, {{.lasts = 4ms}})});
                   w.time->poll();
                 }},
            waits);
}

TEST_CASE("cancellation sweep: throttle") {
  const hf::throttle throttle({.window = 1h, .min_per_second = 0});
  const auto throttled = [throttle](world&) { return hf::pipeline().with(throttle); };
  sweep_policy({.name = "admitted", .acts = {{.lasts = 1ms}}}, throttled);
  const auto s = throttle.snapshot(hf::time_point(1h));
  CHECK(s.requests == s.accepts);  // whatever became of the others, they say nothing
  CHECK(s.accepts > 0);
  const hf::throttle closed({.window = 1h, .min_per_second = 0, .max_rejection = 1});
  for (int i = 0; i < 10'000; ++i) {
    if (closed.core()->try_enter(hf::time_point(1h), [] { return ~std::uint64_t{0}; })) {
      closed.core()->leave(hf::verdict::failure);
    }
  }
  sweep_policy({.name = "turned away",
             .acts = {{.lasts = 1ms}},
             .expect = [](auto& r) {
               return r.has_error() && r.error().code() == hf::errc::shed;
             }},
            [closed](world& w) {
              ++w.counts.calls_made;  // the call is never reached
              return hf::pipeline().with(closed);
            });
}
