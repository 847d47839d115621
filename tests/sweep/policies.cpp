// SPDX-License-Identifier: BSL-1.0
// Every policy alone: cancelled, and its executor destroyed, at each step in turn.
#include "sweep.hpp"

namespace {

using namespace sweep;
using hf::backoff_kind;

bool has_code(const hf::result<int>& r, hf::errc code) {
  return r.has_error() && r.error().code() == code;
}

auto with(const auto& policy) {
  return [policy](world&) { return hf::pipeline().with(policy); };
}

}  // namespace

TEST_CASE("cancellation sweep: empty pipeline") {
  sweep_all({.name = "empty", .acts = {{.lasts = 2ms}}}, [](world&) { return hf::pipeline(); });
}

TEST_CASE("cancellation sweep: timeout, in time") {
  sweep_all({.name = "in time", .acts = {{.lasts = 2ms}}}, with(hf::timeout{.after = 5ms}));
}

TEST_CASE("cancellation sweep: timeout, expired") {
  sweep_all({.name = "expired",
             .acts = {{.lasts = 9ms}},
             .expect = [](auto& r) { return has_code(r, hf::errc::attempt_timeout); }},
            with(hf::timeout{.after = 5ms}));
}

TEST_CASE("cancellation sweep: timeout, the call ignores it") {
  // The value is late, and passed on.
  sweep_all({.name = "late", .acts = {{.lasts = 9ms, .stubborn = true}}, .ends_at_once = false},
            with(hf::timeout{.after = 5ms}));
}

TEST_CASE("cancellation sweep: detaching timeout") {
  const auto expired = [](auto& r) { return has_code(r, hf::errc::attempt_timeout); };
  sweep_all({.name = "detached at once",
             .acts = {{.lasts = 9ms, .stubborn = true}},
             .ends_at_once = false,
             .expect = expired},
            with(hf::timeout{.after = 5ms, .mode = hf::timeout_mode::detach}));
  sweep_all({.name = "detached after its grace",
             .acts = {{.lasts = 9ms, .stubborn = true}},
             .ends_at_once = false,
             .expect = expired},
            with(hf::timeout{.after = 5ms, .mode = hf::timeout_mode::detach, .grace = 2ms}));
  sweep_all({.name = "ends within its grace",
             .acts = {{.lasts = 6ms, .stubborn = true}},
             .ends_at_once = false},
            with(hf::timeout{.after = 5ms, .mode = hf::timeout_mode::detach, .grace = 2ms}));
  sweep_all({.name = "hears the cancellation", .acts = {{.lasts = 9ms}}, .expect = expired},
            with(hf::timeout{.after = 5ms, .mode = hf::timeout_mode::detach, .grace = 2ms}));
  sweep_all({.name = "detaching, in time", .acts = {{.lasts = 2ms}}},
            with(hf::timeout{.after = 5ms, .mode = hf::timeout_mode::detach}));
}

TEST_CASE("cancellation sweep: retry") {
  const auto retry = with(hf::retry{
      .max_attempts = 3, .wait = {.kind = backoff_kind::constant, .base = 3ms, .cap = 3ms}});
  sweep_all(
      {.name = "third time lucky",
       .acts = {{.lasts = 1ms, .fails = true}, {.lasts = 1ms, .fails = true}, {.lasts = 1ms}}},
      retry);
  sweep_all({.name = "out of attempts",
             .acts = {{.lasts = 1ms, .fails = true}},
             .expect = [](auto& r) { return r.has_error() && r.error().code() == failed_code(); }},
            retry);
}

TEST_CASE("cancellation sweep: circuit breaker") {
  const auto breaker = [](world& w) { return hf::pipeline().with(w.breaker); };
  sweep_all({.name = "closed", .acts = {{.lasts = 1ms}}}, breaker);
  sweep_all({.name = "closed, failing",
             .acts = {{.lasts = 1ms, .fails = true}},
             .expect = [](auto& r) { return r.has_error() && r.error().code() == failed_code(); }},
            breaker);

  const auto opened = [](world& w) {
    for (int i = 0; i < 3; ++i) {
      start_other(w, hf::pipeline().with(w.breaker),
                  plain_call{capture(w.other_counts, {{.lasts = 1ms, .fails = true}})});
      w.time->run();
    }
    REQUIRE(w.breaker.state() == hf::breaker_state::open);
    w.time->run_for(11ms);
  };
  sweep_all({.name = "a probe that succeeds", .acts = {{.lasts = 1ms}}, .prepare = opened},
            breaker);
  sweep_all({.name = "a probe that fails",
             .acts = {{.lasts = 1ms, .fails = true}},
             .prepare = opened,
             .expect = [](auto& r) { return r.has_error() && r.error().code() == failed_code(); }},
            breaker);
}

TEST_CASE("cancellation sweep: bulkhead") {
  const auto bulkhead = [](world& w) { return hf::pipeline().with(w.bulkhead); };
  const auto other = [bulkhead](world& w) {
    start_other(w, bulkhead(w), plain_call{capture(w.other_counts, {{.lasts = 2ms}})});
  };
  sweep_all({.name = "a free permit", .acts = {{.lasts = 1ms}}}, bulkhead);
  sweep_all({.name = "behind two others",
             .acts = {{.lasts = 1ms}},
             .prepare = [other](world& w) { other(w), other(w); }},
            bulkhead);
  // One who comes later must be served whatever becomes of the subject.
  sweep_all({.name = "between two others",
             .acts = {{.lasts = 1ms}},
             .prepare =
                 [other](world& w) {
                   other(w);
                   w.time->poll();
                   asio::post(w.executor, [&w, other] { asio::post(w.executor, [&w, other] {
                                other(w);
                              }); });
                 },
             .posts = true},
            bulkhead);
  const auto impatient = [](world& w) {
    return hf::pipeline().with(w.bulkhead).with(hf::timeout{.after = 1ms});
  };
  sweep_all({.name = "a timeout in the queue",
             .acts = {{.lasts = 1ms}},
             .prepare =
                 [other](world& w) {
                   other(w);
                   w.time->poll();
                 },
             .expect = [](auto& r) { return has_code(r, hf::errc::attempt_timeout); }},
            [impatient](world& w) {
              ++w.counts.calls_made;  // the call is never reached
              return impatient(w);
            });
}

TEST_CASE("cancellation sweep: fallback") {
  const script failing{{.lasts = 1ms, .fails = true}};
  sweep_all({.name = "to a value", .acts = failing},
            [](world&) { return hf::pipeline().fallback(5); });
  sweep_all({.name = "to a call", .acts = failing}, [](world& w) {
    return hf::pipeline().fallback(context_call{capture(w.counts, {{.lasts = 1ms}})});
  });
  sweep_all({.name = "to a chain", .acts = failing}, [](world& w) {
    auto second = hf::resilient(plain_call{capture(
                                    w.counts, {{.lasts = 1ms, .fails = true}, {.lasts = 9ms}})})
                      .with(hf::timeout{.after = 3ms})
                      .with(hf::retry{.max_attempts = 2, .wait = {.base = 1ms, .cap = 1ms}});
    return hf::pipeline().fallback(std::move(second)).fallback(5);
  });
}
