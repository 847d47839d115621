// SPDX-License-Identifier: BSL-1.0
// Hedges: cancelled, and their executor destroyed, at each step in turn.
#include "sweep.hpp"

namespace {

using namespace sweep;

auto hedge(hf::duration delay) { return hf::hedge({.delay = delay, .max_hedges = 2}); }

}  // namespace

TEST_CASE("cancellation sweep: hedge, in time") {
  sweep_all({.name = "in time", .acts = {{.lasts = 2ms}}},
            [](world&) { return hf::pipeline().with(hedge(5ms)); });
}

TEST_CASE("cancellation sweep: hedge, overtaken") {
  sweep_all({.name = "overtaken", .acts = {{.lasts = 20ms}, {.lasts = 2ms}}},
            [](world&) { return hf::pipeline().with(hedge(3ms)); });
}

TEST_CASE("cancellation sweep: hedge, failed attempts within policies") {
  sweep_all({.name = "replaced", .acts = {{.lasts = 2ms, .fails = true}, {.lasts = 2ms}}},
            [](world& w) {
              return hf::pipeline()
                  .with(hf::timeout{50ms})
                  .with(hedge(9ms))
                  .with(w.breaker)
                  .with(hf::timeout{100ms});
            });
}
