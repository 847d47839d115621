// SPDX-License-Identifier: BSL-1.0
// The adaptive limit: cancelled, and its executor destroyed, at each step in turn.
#include "sweep.hpp"

namespace {

using namespace sweep;

/// Gives its place back, whatever becomes of the operation: checked when the limit goes.
struct checked_limit {
  hf::adaptive_limit limit{
      {.name = "limit", .initial_limit = 1, .min_limit = 1, .window = 1ms, .min_samples = 1}};
  ~checked_limit() { CHECK(limit.in_flight() == 0); }
};

}  // namespace

TEST_CASE("cancellation sweep: adaptive limit") {
  const auto kept = std::make_shared<checked_limit>();
  const auto limited = [kept](world&) {
    CHECK(kept->limit.in_flight() == 0);  // after the run before, too
    return hf::pipeline().with(kept->limit);
  };
  sweep_policy({.name = "a free place", .acts = {{.lasts = 2ms}}}, limited);
  sweep_policy({.name = "a failing call",
             .acts = {{.lasts = 2ms, .fails = true}},
             .expect = [](auto& r) { return r.has_error() && r.error().code() == failed_code(); }},
            limited);
  sweep_policy({.name = "under a timeout",
             .acts = {{.lasts = 9ms}},
             .expect = [](auto& r) {
               return r.has_error() && r.error().code() == hf::errc::attempt_timeout;
             }},
            [limited](world& w) { return limited(w).with(hf::timeout{.after = 5ms}); });
}

TEST_CASE("cancellation sweep: adaptive limit in a stack") {
  const auto kept = std::make_shared<checked_limit>();
  const auto stack = [kept](world& w) {
    CHECK(kept->limit.in_flight() == 0);
    return hf::pipeline()
        .with(hf::timeout{.after = 3ms})
        .with(kept->limit)
        .with(w.bulkhead)
        .with(hf::retry{.max_attempts = 3, .wait = {.base = 1ms, .cap = 2ms}});
  };
  sweep_policy({.name = "third attempt",
             .acts = {{.lasts = 9ms}, {.lasts = 1ms, .fails = true}, {.lasts = 1ms}}},
            stack);
}
