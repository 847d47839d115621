// SPDX-License-Identifier: BSL-1.0
// A circuit breaker against the same thing without a thought for speed or threads: a list of all
// calls with their times. The commands are made up, and shrunk when they fail, by RapidCheck.
#include <catch2/catch_all.hpp>
#include <cmath>
#include <deque>
#include <holdfast/detail/breaker_core.hpp>
#include <map>
#include <memory>
#include <optional>
#include <ostream>

#include "../support/property.hpp"

namespace {

namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::breaker_state;
using hf::verdict;
using hf::detail::breaker_core;
using hf::detail::breaker_permit;
using hf::detail::call_kind;

struct model {
  struct call {
    hf::time_point at;
    call_kind kind;
  };
  struct ticket {
    std::uint64_t generation;
    std::uint64_t probe;  // 0: none
    breaker_state state;
    hf::time_point began;
  };

  hf::circuit_breaker_options o;
  hf::time_point now{1h};
  breaker_state state = breaker_state::closed;
  std::uint64_t generation = 0;
  unsigned in_a_row = 0;
  std::deque<call> calls;
  hf::time_point open_until{};
  int reopened = 0;
  std::map<std::uint64_t, hf::time_point> probes;  // number and end of lease
  std::uint64_t last_probe = 0;
  unsigned good_probes = 0;
  unsigned bad_probes = 0;
  std::size_t step = 0;
  hf::time_point step_since{};
  double account = 1.0;
  unsigned step_calls = 0;
  unsigned step_bad = 0;
  std::uint64_t refused = 0;
  std::vector<ticket> running;

  bool rated() const { return o.failure_rate > 0 || o.slow_rate > 0; }

  void change(breaker_state to) {
    state = to;
    ++generation;
    in_a_row = 0;
    calls.clear();
    probes.clear();
    good_probes = bad_probes = 0;
    if (to != breaker_state::open && to != breaker_state::half_open &&
        to != breaker_state::recovering) {
      reopened = 0;
    }
  }

  void open() {
    const double times = std::pow(o.open_growth, reopened++);
    open_until = now + std::min(std::chrono::duration_cast<hf::duration>(o.open_for * times),
                                std::max(o.max_open_for, o.open_for));
    change(breaker_state::open);
  }

  void begin_step(std::size_t n) {
    step = n;
    step_since = now;
    account = 1.0;
    step_calls = step_bad = 0;
    change(breaker_state::recovering);
  }

  bool enter() {
    if (state == breaker_state::open && now >= open_until) change(breaker_state::half_open);
    std::uint64_t probe = 0;
    fail_overdue();
    if (state == breaker_state::half_open) {
      if (probes.size() < o.half_open_probes) {
        probe = ++last_probe;
        probes[probe] = now + o.probe_lease;
      }
    }
    const double share = state == breaker_state::recovering ? o.recovery->steps[step].share : 0;
    const bool affordable = account > 1.0 - 1e-6;
    const bool admitted = state == breaker_state::recovering ? affordable
                          : state == breaker_state::half_open
                              ? probe != 0
                              : state != breaker_state::open && state != breaker_state::isolated;
    if (state == breaker_state::recovering) account += share - (affordable ? 1.0 : 0.0);
    if (admitted) running.push_back({generation, probe, state, now});
    refused += !admitted;
    return admitted;
  }

  void fail_overdue() {
    while (state == breaker_state::half_open && !probes.empty() && probes.begin()->second <= now) {
      probes.erase(probes.begin());
      judge_probe(true);
    }
  }

  void leave(std::size_t which, verdict v) {
    const ticket t = running[which];
    running.erase(running.begin() + static_cast<std::ptrdiff_t>(which));
    if (t.probe != 0) fail_overdue();
    if (t.generation != generation) return;
    const bool owned = t.probe == 0 || probes.erase(t.probe) == 1;
    const bool fails = v == verdict::failure || v == verdict::overloaded;
    const bool late = o.slow_after > 0s && now - t.began >= o.slow_after;
    const bool slow = v == verdict::slow || ((fails || v == verdict::success) && late);
    if (!owned || (!fails && !slow && v != verdict::success)) return;
    const bool bad = fails || (slow && o.slow_counts_as_failure);
    const bool bad_probe = bad || (slow && o.slow_rate > 0);
    switch (t.state) {
      case breaker_state::closed:
      case breaker_state::metrics_only:
        in_a_row = bad ? in_a_row + 1 : 0;
        if (rated()) calls.push_back({now, fails && slow ? call_kind::failed_slow
                                           : fails       ? call_kind::failed
                                           : slow        ? call_kind::slow
                                                         : call_kind::good});
        if (state == breaker_state::closed && broken(bad)) open();
        break;
      case breaker_state::half_open: return judge_probe(bad_probe);
      case breaker_state::recovering: return judge_step(bad_probe);
      default: break;
    }
  }

  bool broken(bool bad) const {
    if (bad && o.consecutive_failures != 0 && in_a_row >= o.consecutive_failures) return true;
    if (!rated()) return false;
    const auto c = counts();
    if (c.total() < o.minimum_calls || c.bad() == 0) return false;
    const auto reached = [&](double rate, std::uint64_t n) {
      return rate > 0 && n > 0 && static_cast<double>(n) / static_cast<double>(c.total()) >= rate;
    };
    return reached(o.failure_rate, o.slow_counts_as_failure ? c.bad() : c.all_failed()) ||
           reached(o.slow_rate, c.all_slow());
  }

  void judge_probe(bool bad) {
    ++(bad ? bad_probes : good_probes);
    if (o.half_open_calls == 0) {
      if (bad) return open();
      if (good_probes < o.successes_to_close) return;
    } else {
      const unsigned n = std::max(o.half_open_calls, good_probes + bad_probes);
      if (bad_probes > 0 && static_cast<double>(bad_probes) / n >= o.half_open_failure_rate) {
        return open();
      }
      if (good_probes + bad_probes < o.half_open_calls) return;
    }
    o.recovery ? begin_step(0) : change(breaker_state::closed);
  }

  void judge_step(bool bad) {
    const hf::recovery_step& s = o.recovery->steps[step];
    ++step_calls;
    step_bad += bad;
    if (step_bad > 0 && static_cast<double>(step_bad) / std::max(step_calls, s.minimum_calls) >= s.failure_rate) {
      const bool back = o.recovery->failed_step == hf::recovery_ramp::on_failure::back_one_step;
      return step > 0 && back ? begin_step(step - 1) : open();
    }
    if (step_calls < s.minimum_calls || now - step_since < s.at_least) return;
    step + 1 < o.recovery->steps.size() ? begin_step(step + 1) : change(breaker_state::closed);
  }

  /// What a window of ten buckets holds.
  hf::detail::window_counts counts() const {
    const auto period = [&](hf::time_point t) { return t.time_since_epoch() / (o.window / 10); };
    hf::detail::window_counts c;
    std::size_t age = calls.size();
    for (const call& one : calls) {
      const bool counts = o.window_calls != 0 ? age <= o.window_calls
                                              : period(one.at) > period(now) - 10;
      if (counts) c.add(one.kind, 1);
      --age;
    }
    return c;
  }

  /// Calls that are younger than this, to the nanosecond.
  std::uint64_t younger(hf::duration d) const {
    return static_cast<std::uint64_t>(
        std::ranges::count_if(calls, [&](const call& one) { return one.at > now - d; }));
  }
};

struct subject {
  explicit subject(const hf::circuit_breaker_options& o) : core(o, hf::time_point(1h)) {}
  breaker_core core;
  hf::time_point now{1h};
  std::vector<breaker_permit> running;
};

void compare(const model& m, const subject& s) {
  const hf::breaker_snapshot is = s.core.snapshot(s.now);
  RC_ASSERT(is.state == m.state);
  RC_ASSERT(is.generation == m.generation);
  RC_ASSERT(is.consecutive_failures == m.in_a_row);
  RC_ASSERT(is.probes_in_flight == m.probes.size());
  RC_ASSERT(is.probe_successes == m.good_probes);
  RC_ASSERT(is.refused == m.refused);
  RC_ASSERT(is.recovery_step == (m.state == breaker_state::recovering ? m.step + 1 : 0));
  RC_ASSERT(is.remaining_open == (m.state == breaker_state::open
                                      ? std::max(m.open_until - m.now, hf::duration::zero())
                                      : hf::duration::zero()));
  const auto c = m.counts();
  RC_ASSERT(is.calls_in_window - is.hanging == c.total());
  RC_ASSERT(is.failed_in_window == c.all_failed());
  RC_ASSERT(is.slow_in_window - is.hanging == c.all_slow());
  if (m.o.window_calls == 0) {
    // Exact within one bucket: nothing older than the window, everything younger than nine tenths.
    RC_ASSERT(c.total() <= m.younger(m.o.window));
    RC_ASSERT(c.total() >= m.younger(m.o.window / 10 * 9));
  }
}

using command = rc::state::Command<model, subject>;

struct pass_time : command {
  hf::duration by;
  explicit pass_time(const model& m) {
    const auto window = m.o.window.count();
    // Often to the very end of something.
    by = hf::duration(*rc::gen::weightedOneOf<std::int64_t>(
        {{12, rc::gen::inRange<std::int64_t>(0, window / 8)},
         {3, rc::gen::inRange<std::int64_t>(0, 2 * window)},
         {2, rc::gen::just(m.o.probe_lease.count())},
         {3, rc::gen::just(m.state == breaker_state::open
                               ? std::max<std::int64_t>((m.open_until - m.now).count(), 0)
                               : window / 10)}}));
  }
  void apply(model& m) const override { m.now += by; }
  void run(const model& m, subject& s) const override {
    s.now += by;
    compare(nextState(m), s);
  }
  void show(std::ostream& os) const override { os << "pass_time " << by.count() << "ns"; }
};

struct enter : command {
  explicit enter(const model&) {}
  void apply(model& m) const override { m.enter(); }
  void run(const model& m, subject& s) const override {
    breaker_permit permit;
    if (s.core.try_enter(permit, s.now)) s.running.push_back(permit);
    const model next = nextState(m);
    RC_ASSERT(s.running.size() == next.running.size());
    compare(next, s);
  }
  void show(std::ostream& os) const override { os << "enter"; }
};

struct leave : command {
  std::size_t which;
  verdict v;
  explicit leave(const model& m)
      : which(m.running.empty() ? 0 : *rc::gen::inRange<std::size_t>(0, m.running.size())),
        v(*rc::gen::weightedElement<verdict>({{healthy(m) ? 40u : 9u, verdict::success},
                                              {9, verdict::failure},
                                              {4, verdict::slow},
                                              {1, verdict::overloaded},
                                              {1, verdict::throttled},
                                              {1, verdict::request_fault},
                                              {1, verdict::neutral}})) {}
  /// Mostly well while it is tried, so that trials get somewhere.
  static bool healthy(const model& m) {
    return m.state == breaker_state::half_open || m.state == breaker_state::recovering;
  }
  void checkPreconditions(const model& m) const override { RC_PRE(which < m.running.size()); }
  void apply(model& m) const override { m.leave(which, v); }
  void run(const model& m, subject& s) const override {
    s.core.leave(s.running[which], v, s.now);
    s.running.erase(s.running.begin() + static_cast<std::ptrdiff_t>(which));
    compare(nextState(m), s);
  }
  void show(std::ostream& os) const override { os << "leave " << which << ' ' << to_string(v); }
};

struct by_hand : command {
  explicit by_hand(const model&) {}
  breaker_state to = *rc::gen::element(breaker_state::closed, breaker_state::isolated,
                                       breaker_state::disabled, breaker_state::metrics_only);
  void apply(model& m) const override {
    if (to == breaker_state::closed || m.state != to) m.change(to);
  }
  void run(const model& m, subject& s) const override {
    if (to == breaker_state::closed) s.core.reset(s.now);
    if (to == breaker_state::isolated) s.core.isolate(s.now);
    if (to == breaker_state::disabled) s.core.disable(s.now);
    if (to == breaker_state::metrics_only) s.core.observe(s.now);
    compare(nextState(m), s);
  }
  void show(std::ostream& os) const override { os << "by_hand " << to_string(to); }
};

rc::Gen<std::shared_ptr<const command>> any_command(const model& m) {
  return rc::gen::weightedOneOf<std::shared_ptr<const command>>({{40, test::make<enter>(m)},
                                                                 {40, test::make<leave>(m)},
                                                                 {20, test::make<pass_time>(m)},
                                                                 {1, test::make<by_hand>(m)}});
}

hf::circuit_breaker_options any_options() {
  using test::maybe;
  using test::number;
  const auto rate = [&] { return number(1, 10) / 10.0; };
  hf::circuit_breaker_options o;
  o.consecutive_failures = maybe(0.5) ? number(1, 6) : 0;
  o.failure_rate = maybe(0.7) || o.consecutive_failures == 0 ? rate() : 0.0;
  o.slow_rate = maybe(0.4) ? rate() : 0.0;
  o.slow_counts_as_failure = maybe(0.6);
  o.window = hf::duration(1s) * number(1, 10);
  o.window_calls = maybe(0.3) ? number(1, 30) : 0;
  o.minimum_calls = number(1, o.window_calls ? std::min(o.window_calls, 12u) : 12u);
  o.open_for = hf::duration(500ms) * number(1, 10);
  o.open_growth = maybe(0.5) ? 2.0 : 1.0;
  o.max_open_for = o.open_for * number(1, 4);
  o.half_open_probes = number(1, 3);
  o.successes_to_close = number(1, 3);
  o.half_open_calls = maybe(0.4) ? number(1, 6) : 0;
  o.half_open_failure_rate = rate();
  o.probe_lease = hf::duration(500ms) * number(1, 10);
  if (maybe(0.6)) {
    hf::recovery_ramp ramp{.steps = {}};
    for (unsigned i = number(1, 4); i > 0; --i) {
      ramp.steps.push_back({.share = rate(),
                            .minimum_calls = number(1, 4),
                            .failure_rate = rate(),
                            .at_least = hf::duration(300ms) * number(0, 3)});
    }
    if (maybe(0.3)) ramp.failed_step = hf::recovery_ramp::on_failure::open;
    o.recovery = ramp;
  }
  return o;
}

bool judges_as_the_model(const std::string& what, bool measures_time) {
  return test::holds(what, {.count = 500, .size = 400}, [measures_time] {
    hf::circuit_breaker_options o = any_options();
    // Calls that hang may open the circuit as another enters: left to the unit tests.
    if (measures_time) {
      o.slow_after = 400ms;
      o.slow_rate = 0.0;
      o.failure_rate = 0.0;
      o.consecutive_failures = std::max(o.consecutive_failures, 1u);
    }
    model m;
    m.o = o;
    subject s(o);
    rc::state::check(m, s, any_command);
  });
}

}  // namespace

TEST_CASE("a breaker is the list of its calls, within one bucket", "[breaker][property]") {
  CHECK(judges_as_the_model("windows and rates", false));
}

TEST_CASE("a breaker that measures time judges as its calls lasted", "[breaker][property]") {
  CHECK(judges_as_the_model("slow by the clock", true));
}
