// SPDX-License-Identifier: BSL-1.0
// The default stack: cancelled, and its executor destroyed, at each step in turn.
#include "sweep.hpp"

namespace {

using namespace sweep;

auto default_stack(world& w) {
  return hf::pipeline()
      .with(hf::timeout{.after = 3ms})
      .with(hf::retry{.max_attempts = 3,
                      .wait = {.base = 1ms, .cap = 2ms, .jitter = hf::jitter::equal}})
      .with(w.breaker)
      .with(w.bulkhead)
      .with(hf::timeout{.after = 60ms})
      .fallback(context_call{capture(w.counts, {{.lasts = 2ms}})});
}

void occupy(world& w) {
  start_other(w, hf::pipeline().with(w.bulkhead),
              plain_call{capture(w.other_counts, {{.lasts = 2ms}})});
  w.time->poll();
}

void open(world& w) {
  for (int i = 0; i < 3; ++i) {
    start_other(w, hf::pipeline().with(w.breaker),
                plain_call{capture(w.other_counts, {{.lasts = 1ms, .fails = true}})});
    w.time->run();
  }
  REQUIRE(w.breaker.state() == hf::breaker_state::open);
  w.time->run_for(11ms);
}

}  // namespace

TEST_CASE("cancellation sweep: default stack") {
  // In the queue; an attempt too long, one that fails, one that succeeds.
  sweep_all({.name = "third attempt",
             .acts = {{.lasts = 9ms}, {.lasts = 1ms, .fails = true}, {.lasts = 1ms}},
             .prepare = occupy},
            default_stack);
}

TEST_CASE("cancellation sweep: default stack, the fallback answers") {
  sweep_all({.name = "fallback", .acts = {{.lasts = 1ms, .fails = true}}, .prepare = occupy},
            default_stack);
}

TEST_CASE("cancellation sweep: default stack, as a probe behind a queue") {
  sweep_all({.name = "probe",
             .acts = {{.lasts = 9ms}, {.lasts = 1ms}},
             .prepare = [](world& w) { open(w), occupy(w); }},
            default_stack);
}
