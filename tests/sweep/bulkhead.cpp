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

/// The subject comes to a bulkhead that somebody holds; `then` happens once it waits.
scenario behind_another(std::string name, guards& g, std::function<void(world&)> then = nullptr,
                        hf::call_options holder = {}) {
  return {
      .name = std::move(name), .acts = {{.lasts = 1ms}}, .prepare = [&g, then, holder](world& w) {
        g.renew();
        other(w, g, holder);
        w.time->poll();
        if (then) later(w, [&w, then] { then(w); });
      },
      .posts = then != nullptr};
}

/// The same where that ends the subject's wait.
scenario turned_away_behind_another(std::string name, guards& g, std::function<void(world&)> then,
                                    hf::errc code) {
  scenario s = behind_another(std::move(name), g, std::move(then));
  s.expect = [code](auto& r) { return refused(r, code); };
  return s;
}

}  // namespace

TEST_CASE("cancellation sweep: bulkhead, newest first") {
  guards g({.limit = 1, .queue = 4, .order = queue_order::lifo});
  sweep_policy(behind_another("between two others", g, [&](world& w) { other(w, g); }),
               subject(g, {.tenant = "acme"}));
}

TEST_CASE("cancellation sweep: bulkhead, evicted from the queue") {
  guards g({.limit = 1, .queue = 1, .order = queue_order::priority});
  const auto more_important = [&](world& w) { other(w, g, {.priority = priority::high}); };
  sweep_policy(turned_away_behind_another("gives way", g, more_important, hf::errc::shed),
               turned_away(g, {.priority = priority::low, .tenant = "acme"}));
}

TEST_CASE("cancellation sweep: bulkhead, heavy in the queue before lighter ones") {
  guards g({.limit = 3, .queue = 4});
  const auto two_more = [&](world& w) { other(w, g), other(w, g, {.weight = 3}); };
  sweep_policy(behind_another("heavy", g, two_more, {.weight = 2}),
               subject(g, {.weight = 3, .tenant = "acme"}));
}

TEST_CASE("cancellation sweep: bulkhead, a standing queue") {
  guards g({.limit = 1,
            .queue = 4,
            .order = queue_order::codel,
            .codel_interval = 5ms,
            .codel_target = 1ms});
  sweep_policy(behind_another("codel", g), subject(g, {.tenant = "acme"}));
}

TEST_CASE("cancellation sweep: bulkhead, the limit changes while the subject waits") {
  guards g({.limit = 1, .queue = 4});
  const auto up_and_down = [&](world& w) {
    other(w, g);
    g.bulkhead.resize(2);
    g.bulkhead.resize(1);
    other(w, g);
  };
  sweep_policy(behind_another("raised and lowered", g, up_and_down),
               subject(g, {.tenant = "acme"}));
}

TEST_CASE("cancellation sweep: bulkhead, closed while the subject waits") {
  guards g({.limit = 1, .queue = 4});
  const auto close = [&](world&) { g.bulkhead.close(); };
  sweep_policy(turned_away_behind_another("closed", g, close, hf::errc::shutting_down),
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
