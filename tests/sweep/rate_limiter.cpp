// SPDX-License-Identifier: BSL-1.0
// The rate limiter: cancelled, and its executor destroyed, at each step in turn.
#include "sweep.hpp"

namespace {

using namespace sweep;

bool has_code(const hf::result<int>& r, hf::errc code) {
  return r.has_error() && r.error().code() == code;
}

/// A limiter for each run, and what must be left of it when the run is over.
class limiters {
 public:
  explicit limiters(hf::rate_limiter_options o) : options_(std::move(o)) {}
  limiters(const limiters&) = delete;
  ~limiters() { check(); }

  hf::rate_limiter& fresh() {
    check();
    return now_.emplace(options_);
  }
  const hf::rate_limiter& now() const { return *now_; }

 private:
  void check() const {
    if (!now_) return;
    const auto s = now_->snapshot(hf::time_point(200h));
    CHECK(s.waiting == 0);
    CHECK(s.available == (options_.burst ? options_.burst : options_.permits));
  }

  hf::rate_limiter_options options_;
  std::optional<hf::rate_limiter> now_;
};

auto behind(limiters& all) {
  return [&all](world&) { return hf::pipeline().with(all.now()); };
}

}  // namespace

TEST_CASE("cancellation sweep: rate limiter, a free permit") {
  limiters all({.permits = 10, .burst = 1, .max_wait = 1s});
  sweep_policy({.name = "free", .acts = {{.lasts = 1ms}}, .prepare = [&](world&) { all.fresh(); }},
            behind(all));
}

TEST_CASE("cancellation sweep: rate limiter, a wait") {
  for (const auto algorithm :
       {hf::limiter_algorithm::gcra, hf::limiter_algorithm::sliding_window}) {
    limiters all(
        {.permits = 1, .period = 3ms, .algorithm = algorithm, .max_wait = 1s, .max_waiting = 4});
    const auto other = [&all](world& w) {
      start_other(w, hf::pipeline().with(all.now()),
                  plain_call{capture(w.other_counts, {{.lasts = 2ms}})});
    };
    sweep_policy({.name = "behind two others",
               .acts = {{.lasts = 1ms}},
               .prepare =
                   [&](world& w) {
                     all.fresh();
                     other(w), other(w);
                   }},
              behind(all));
    // One who comes later must be served whatever becomes of the subject.
    sweep_policy({.name = "between two others",
               .acts = {{.lasts = 1ms}},
               .prepare =
                   [&](world& w) {
                     all.fresh();
                     other(w);
                     w.time->poll();
                     asio::post(w.executor, [&w, other] {
                       asio::post(w.executor, [&w, other] { other(w); });
                     });
                   },
               .posts = true},
              behind(all));
  }
}

TEST_CASE("cancellation sweep: rate limiter, a hint moves the wait") {
  limiters all({.permits = 1, .period = 3ms, .max_wait = 1s});
  sweep_policy({.name = "moved",
             .acts = {{.lasts = 1ms}},
             .prepare =
                 [&](world& w) {
                   hf::rate_limiter& l = all.fresh();
                   REQUIRE(l.try_acquire(1, w.time->now()));
                   asio::post(w.executor, [&w, &l] {
                     asio::post(w.executor,
                                [&w, &l] { l.core()->hold_for(5ms, w.time->now()); });
                   });
                 },
             .posts = true},
            behind(all));
}

TEST_CASE("cancellation sweep: rate limiter, too late for the deadline") {
  limiters all({.permits = 1, .period = 3ms, .max_wait = 1s});
  sweep_policy({.name = "too late",
             .acts = {{.lasts = 1ms}},
             .prepare =
                 [&](world& w) {
                   REQUIRE(all.fresh().try_acquire(1, w.time->now()));
                 },
             .expect = [](auto& r) { return has_code(r, hf::errc::rate_limited); }},
            [&all](world& w) {
              ++w.counts.calls_made;  // the call is never reached
              return hf::pipeline().with(all.now()).with(hf::timeout{.after = 2ms});
            });
}

TEST_CASE("cancellation sweep: rate limiter, in a stack") {
  limiters all({.permits = 1, .period = 3ms, .max_wait = 1s});
  sweep_policy({.name = "stack",
             .acts = {{.lasts = 1ms, .fails = true}, {.lasts = 1ms}},
             .prepare = [&](world& w) { REQUIRE(all.fresh().try_acquire(1, w.time->now())); }},
            [&all](world& w) {
              return hf::pipeline()
                  .with(w.bulkhead)
                  .with(all.now())
                  .with(hf::retry{.max_attempts = 3, .wait = {.base = 1ms, .cap = 1ms}})
                  .with(hf::timeout{.after = 20ms});
            });
}
