// SPDX-License-Identifier: BSL-1.0
// The bulkhead's other queues, weights, changes while operations wait, and the load shedder:
// cancelled, and their executor destroyed, at each step in turn.
#include "sweep.hpp"

namespace {

using namespace sweep;
using hf::priority;
using hf::queue_order;

/// One bulkhead and one shedder for each run, which must be at rest when the next begins.
struct guards {
  explicit guards(hf::bulkhead_options o) : options(std::move(o)) {}
  ~guards() { check_at_rest(); }

  void renew() {
    check_at_rest();
    bulkhead = hf::bulkhead(options);
    shedder = hf::load_shedder({.capacity = 8});
  }
  void check_at_rest() const {
    CHECK(bulkhead.in_use() == 0);
    CHECK(bulkhead.waiting() == 0);
    CHECK(shedder.snapshot().in_flight == 0);
  }

  hf::bulkhead_options options;
  hf::bulkhead bulkhead;
  hf::load_shedder shedder;
};

/// Calls a pipeline with options of the call.
template <class Pipeline>
struct with_options {
  Pipeline pipe;
  hf::call_options options;
  template <class Call>
  auto operator()(Call call) const {
    return pipe(std::move(call), options);
  }
};
template <class Pipeline>
with_options(Pipeline, hf::call_options) -> with_options<Pipeline>;

auto subject(guards& g, hf::call_options options) {
  return [&g, options](world&) {
    return with_options{hf::pipeline().with(g.bulkhead).with(g.shedder), options};
  };
}

/// The same where the call is never reached.
auto turned_away(guards& g, hf::call_options options) {
  return [make = subject(g, options)](world& w) {
    ++w.counts.calls_made;
    return make(w);
  };
}

/// Starts an operation that nobody cancels and that holds the bulkhead, or waits for it, for 2 ms.
void other(world& w, guards& g, hf::call_options options = {}) {
  start_other(w, with_options{hf::pipeline().with(g.bulkhead), options},
              plain_call{capture(w.other_counts, {{.lasts = 2ms}})});
}

/// Does something once the subject has come to wait.
void later(world& w, std::function<void()> what) {
  asio::post(w.executor, [&w, what = std::move(what)] {
    asio::post(w.executor, [what] { what(); });
  });
}

bool refused(const hf::result<int>& r, hf::errc code) {
  return r.has_error() && r.error().code() == code;
}

}  // namespace

TEST_CASE("cancellation sweep: bulkhead, newest first") {
  guards g({.limit = 1, .queue = 4, .order = queue_order::lifo});
  sweep_policy({.name = "between two others",
             .acts = {{.lasts = 1ms}},
             .prepare =
                 [&](world& w) {
                   g.renew();
                   other(w, g);
                   w.time->poll();
                   later(w, [&] { other(w, g); });
                 }},
            subject(g, {.tenant = "acme"}));
}

TEST_CASE("cancellation sweep: bulkhead, evicted from the queue") {
  guards g({.limit = 1, .queue = 1, .order = queue_order::priority});
  sweep_policy({.name = "gives way",
             .acts = {{.lasts = 1ms}},
             .prepare =
                 [&](world& w) {
                   g.renew();
                   other(w, g);
                   w.time->poll();
                   later(w, [&] { other(w, g, {.priority = priority::high}); });
                 },
             .expect = [](auto& r) { return refused(r, hf::errc::shed); }},
            turned_away(g, {.priority = priority::low, .tenant = "acme"}));
}

TEST_CASE("cancellation sweep: bulkhead, heavy in the queue before lighter ones") {
  guards g({.limit = 3, .queue = 4});
  sweep_policy({.name = "heavy",
             .acts = {{.lasts = 1ms}},
             .prepare =
                 [&](world& w) {
                   g.renew();
                   other(w, g, {.weight = 2});
                   w.time->poll();
                   later(w, [&] { other(w, g), other(w, g, {.weight = 3}); });
                 }},
            subject(g, {.weight = 3, .tenant = "acme"}));
}

TEST_CASE("cancellation sweep: bulkhead, a standing queue") {
  guards g({.limit = 1,
            .queue = 4,
            .order = queue_order::codel,
            .codel_interval = 5ms,
            .codel_target = 1ms});
  sweep_policy({.name = "codel",
             .acts = {{.lasts = 1ms}},
             .prepare =
                 [&](world& w) {
                   g.renew();
                   other(w, g);
                   w.time->poll();
                 }},
            subject(g, {.tenant = "acme"}));
}

TEST_CASE("cancellation sweep: bulkhead, the limit changes while the subject waits") {
  guards g({.limit = 1, .queue = 4});
  sweep_policy({.name = "raised and lowered",
             .acts = {{.lasts = 1ms}},
             .prepare =
                 [&](world& w) {
                   g.renew();
                   other(w, g);
                   w.time->poll();
                   later(w, [&] {
                     other(w, g);
                     g.bulkhead.resize(2);
                     g.bulkhead.resize(1);
                     other(w, g);
                   });
                 }},
            subject(g, {.tenant = "acme"}));
}

TEST_CASE("cancellation sweep: bulkhead, closed while the subject waits") {
  guards g({.limit = 1, .queue = 4});
  sweep_policy({.name = "closed",
             .acts = {{.lasts = 1ms}},
             .prepare =
                 [&](world& w) {
                   g.renew();
                   other(w, g);
                   w.time->poll();
                   later(w, [&] { g.bulkhead.close(); });
                 },
             .expect = [](auto& r) { return refused(r, hf::errc::shutting_down); }},
            turned_away(g, {.tenant = "acme"}));
}

TEST_CASE("cancellation sweep: load shedder") {
  guards g({.limit = 1, .queue = 4});
  const auto prepare = [&](world&) { g.renew(); };
  sweep_policy({.name = "passed", .acts = {{.lasts = 1ms}}, .prepare = prepare},
            subject(g, {.tenant = "acme"}));
  sweep_policy({.name = "of nobody", .acts = {{.lasts = 1ms}}, .prepare = prepare}, subject(g, {}));
  sweep_policy({.name = "failing",
             .acts = {{.lasts = 1ms, .fails = true}},
             .prepare = prepare,
             .expect = [](auto& r) { return r.has_error() && r.error().code() == failed_code(); }},
            subject(g, {.tenant = "acme"}));
}
