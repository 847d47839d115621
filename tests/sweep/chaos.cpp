// SPDX-License-Identifier: BSL-1.0
// Chaos: cancelled, and its executor destroyed, at each step in turn.
#include "sweep.hpp"

namespace {

using namespace sweep;

hf::chaos on(hf::chaos_rule rule) {
  return hf::chaos({.enabled = true, .rules = {std::move(rule)}});
}

/// One chaos for each run, so that the attempts are counted anew; the calls it prevents count as
/// made.
auto with(hf::chaos_rule rule) {
  return [rule](world& w) {
    ++w.counts.calls_made;
    return hf::pipeline().with(on(rule)).with(w.breaker).with(w.bulkhead);
  };
}

bool failed_so(const hf::result<int>& r) {
  return r.has_error() && r.error().code() == failed_code();
}

}  // namespace

TEST_CASE("cancellation sweep: chaos") {
  sweep_policy({.name = "latency", .acts = {{.lasts = 1ms}}}, with({.delay = {.base = 3ms}}));
  sweep_policy({.name = "a fault", .acts = {{.lasts = 1ms}}, .expect = failed_so},
            with({.fault = failed_code()}));
  sweep_policy({.name = "a late fault", .acts = {{.lasts = 1ms}}, .expect = failed_so},
            with({.delay = {.base = 3ms}, .fault = failed_code()}));
  sweep_policy({.name = "a hang",
             .acts = {{.lasts = 1ms}},
             .expect = [](auto& r) {
               return r.has_error() && r.error().code() == hf::errc::attempt_timeout;
             }},
            [](world& w) { return with({.hang = true})(w).with(hf::timeout{.after = 5ms}); });
}

TEST_CASE("cancellation sweep: chaos, then retries") {
  sweep_policy({.name = "third attempt", .acts = {{.lasts = 1ms}}}, [](world& w) {
    return hf::pipeline()
        .with(hf::chaos({.enabled = true,
                         .rules = {{.last_attempt = 1, .fault = failed_code()},
                                   {.last_attempt = 2, .hang = true}}}))
        .with(hf::timeout{.after = 3ms})
        .with(w.bulkhead)
        .with(hf::retry{.max_attempts = 3, .wait = {.base = 1ms, .cap = 2ms}});
  });
}
