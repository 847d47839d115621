// SPDX-License-Identifier: BSL-1.0
// The circuit breaker's state machine, with both its stores.
#include <array>
#include <holdfast/detail/breaker_cell.hpp>
#include <holdfast/detail/breaker_core.hpp>

#include "explore.hpp"

namespace {

namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::breaker_state;
using hf::verdict;
using hf::detail::breaker_cell;
using hf::detail::breaker_core;
using hf::detail::breaker_permit;
using hf::detail::breaker_rules;

constexpr hf::time_point start{1h};
constexpr hf::time_point much_later = start + 10s;  // the circuit may be tried

/// A named breaker.
struct named {
  explicit named(const hf::circuit_breaker_options& o) : breaker(o, start) {}
  breaker_core breaker;
};

/// One of a family.
struct keyed {
  explicit keyed(const hf::circuit_breaker_options& o)
      : rules(o, hf::detail::breaker_size::compact), breaker(rules) {}
  breaker_rules rules;
  breaker_cell breaker;
};

template <class Breaker>
struct with_breaker : model::threads {
  static constexpr int count = 3;
  explicit with_breaker(const hf::circuit_breaker_options& o) : held(o) {}

  Breaker held;
  decltype(held.breaker)& breaker = held.breaker;

  /// A call, with its end.
  bool call(verdict v, hf::time_point now) {
    breaker_permit permit;
    if (!breaker.try_enter(permit, now)) return false;
    breaker.leave(permit, v, now);
    return true;
  }
  bool is(breaker_state state, std::uint64_t generation) {
    const auto s = breaker.snapshot(start);
    return s.state == state && s.generation == generation;
  }
};

/// However many calls see that a rule is broken, the circuit opens once, and for its time.
template <class Breaker>
struct opens_once : with_breaker<Breaker> {
  opens_once() : with_breaker<Breaker>({.consecutive_failures = 2, .open_for = 5s}) {}
  std::array<bool, 3> refused{};
  void thread(unsigned n) override {
    this->call(verdict::failure, start);
    if (this->call(verdict::failure, start)) return;
    refused[n] = true;
    MUST(this->breaker.state() == breaker_state::open);
    MUST(this->breaker.remaining_open(start) == 5s);
  }
  void after() override {
    MUST(this->is(breaker_state::open, 1));
    const auto sum = static_cast<unsigned>(refused[0] + refused[1] + refused[2]);
    MUST(this->breaker.refused() >= sum);
  }
};

/// Of two bad calls at once the later one sees both: no rate is reached without anybody noticing.
template <class Breaker>
struct rates_are_not_missed : with_breaker<Breaker> {
  rates_are_not_missed()
      : with_breaker<Breaker>({.failure_rate = 1.0, .window = 10s, .minimum_calls = 3}) {}
  void thread(unsigned n) override {
    this->call(verdict::failure, start + n * 1s);  // each in a bucket of its own
  }
  void after() override { MUST(this->is(breaker_state::open, 1)); }
};

/// A half-open circuit lets as many at a time through as it has places, and what a probe has done
/// is seen by the next.
template <class Breaker>
struct one_probe_at_a_time : with_breaker<Breaker> {
  one_probe_at_a_time()
      : with_breaker<Breaker>(
            {.consecutive_failures = 1, .open_for = 1s, .successes_to_close = 100}) {}
  model::payload service;
  std::array<unsigned, 3> probes{};
  void before() override { this->call(verdict::failure, start); }
  void thread(unsigned n) override {
    for (int i = 0; i < 2; ++i) {
      breaker_permit permit;
      if (!this->breaker.try_enter(permit, much_later)) continue;
      MUST(permit.is_probe());
      service.write(service.read() + 1);
      ++probes[n];
      this->breaker.leave(permit, verdict::success, much_later);
    }
  }
  void after() override {
    MUST(this->is(breaker_state::half_open, 2));
    MUST(service.read() == probes[0] + probes[1] + probes[2]);
    MUST(this->breaker.snapshot(much_later).probe_successes == service.read());
    MUST(this->breaker.snapshot(much_later).probes_in_flight == 0);
  }
};

/// Enough good probes close the circuit once; a bad one opens it, and nobody gets through then.
template <class Breaker>
struct probes_decide_once : with_breaker<Breaker> {
  probes_decide_once()
      : with_breaker<Breaker>({.consecutive_failures = 1,
                               .open_for = 1s,
                               .half_open_probes = 2,
                               .successes_to_close = 2}) {}
  std::array<bool, 3> admitted{};
  void before() override { this->call(verdict::failure, start); }
  void thread(unsigned n) override {
    admitted[n] = this->call(n == 0 ? verdict::failure : verdict::success, much_later);
  }
  void after() override {
    const auto s = this->breaker.snapshot(much_later);
    MUST(s.probes_in_flight == 0);
    if (s.state == breaker_state::open) {
      // By the bad probe: or, once two good ones had closed it, by a bad call.
      MUST(admitted[0]);
      MUST(s.generation == 3 || (s.generation == 4 && admitted[1] && admitted[2]));
      MUST(s.remaining_open == 1s);
    } else if (s.state == breaker_state::closed) {
      MUST(s.generation == 3 && admitted[1] && admitted[2]);
      MUST(s.consecutive_failures == 0);
    } else {
      MUST(s.generation == 2 && !admitted[0]);
    }
  }
};

/// What a call says that was admitted before a change counts no more once the change has been made.
template <class Breaker>
struct old_results_do_not_count : with_breaker<Breaker> {
  old_results_do_not_count()
      : with_breaker<Breaker>({.consecutive_failures = 2,
                               .failure_rate = 0.5,
                               .window = 10s,
                               .minimum_calls = 2}) {}
  std::array<breaker_permit, 3> permits;
  bool changed = false;
  void before() override {
    for (auto& p : permits) MUST(this->breaker.try_enter(p, start));
    this->call(verdict::failure, start);  // counts, until the reset
  }
  void thread(unsigned n) override {
    if (n == 0) {
      this->breaker.reset(start);
      changed = true;
      this->breaker.leave(permits[0], verdict::failure, start);
      this->breaker.leave(permits[1], verdict::failure, start);
    } else if (n == 1) {
      while (!changed) model::let_others_go_on();
      breaker_permit mine;
      MUST(this->breaker.try_enter(mine, start));
      if (mine.word == permits[0].word) return;  // it has not seen the change
      this->breaker.leave(mine, verdict::failure, start);  // alone in its generation
    }
  }
  void after() override {
    MUST(this->is(breaker_state::closed, 1));
    MUST(this->breaker.snapshot(start).calls_in_window <= 1);
    MUST(this->breaker.snapshot(start).consecutive_failures <= 1);
  }
};

/// An isolated circuit lets nobody through, whatever calls and probes under way bring.
template <class Breaker>
struct isolated_stays_isolated : with_breaker<Breaker> {
  isolated_stays_isolated()
      : with_breaker<Breaker>({.consecutive_failures = 1, .open_for = 1s}) {}
  breaker_permit early;
  void before() override { MUST(this->breaker.try_enter(early, start)); }
  void thread(unsigned n) override {
    if (n == 0) {
      this->breaker.isolate(much_later);
      breaker_permit p;
      MUST(!this->breaker.try_enter(p, much_later));
    } else if (n == 1) {
      this->breaker.leave(early, verdict::failure, start);
    } else {
      this->call(verdict::success, much_later);
      this->call(verdict::failure, much_later);
    }
  }
  void after() override { MUST(this->breaker.state() == breaker_state::isolated); }
};

/// A hint that comes while the circuit is open keeps it open for longer, never for less.
template <class Breaker>
struct hints_only_lengthen : with_breaker<Breaker> {
  hints_only_lengthen() : with_breaker<Breaker>({.consecutive_failures = 1, .open_for = 1s}) {}
  std::array<breaker_permit, 3> permits;
  void before() override {
    for (auto& p : permits) MUST(this->breaker.try_enter(p, start));
  }
  void thread(unsigned n) override {
    this->breaker.leave(permits[n], verdict::failure,
                        {.now = start, .retry_after = n * 1min});
  }
  void after() override {
    MUST(this->is(breaker_state::open, 1));
    MUST(this->breaker.remaining_open(start) == 2min);
  }
};

/// Who sees that the circuit is open sees for how long.
template <class Breaker>
struct open_says_for_how_long : with_breaker<Breaker> {
  open_says_for_how_long() : with_breaker<Breaker>({.consecutive_failures = 1, .open_for = 5s}) {}
  void thread(unsigned n) override {
    if (n == 0) {
      this->call(verdict::failure, start);
    } else {
      while (this->breaker.state() != breaker_state::open) model::let_others_go_on();
      MUST(this->breaker.remaining_open(start) == 5s);
    }
  }
};

/// A window of calls that takes the place of a window of time, while calls count.
struct a_new_ring_is_whole : with_breaker<named> {
  a_new_ring_is_whole() : with_breaker<named>({.failure_rate = 0.5, .minimum_calls = 4}) {}
  bool changed = false;
  void thread(unsigned n) override {
    if (n == 0) {
      breaker.reconfigure({.failure_rate = 0.5, .window_calls = 4, .minimum_calls = 4}, start);
      changed = true;
      return;
    }
    call(verdict::success, start);
    while (!changed) model::let_others_go_on();
    call(n == 1 ? verdict::success : verdict::failure, start);
  }
  void after() override {
    // What was counted while the window changed may be missing, and is never more.
    MUST(breaker.snapshot(start).calls_in_window <= 4);
    for (int i = 0; i < 4; ++i) call(verdict::failure, start);
    MUST(breaker.state() == breaker_state::open);
  }
};

/// And back: calls that find the ring no more count in the window of time.
struct a_ring_that_goes_is_left : with_breaker<named> {
  a_ring_that_goes_is_left()
      : with_breaker<named>({.failure_rate = 0.5, .window_calls = 4, .minimum_calls = 4}) {}
  bool changed = false;
  void before() override { call(verdict::failure, start); }
  void thread(unsigned n) override {
    if (n == 0) {
      breaker.reconfigure({.failure_rate = 0.5, .minimum_calls = 4}, start);
      changed = true;
    } else if (n == 1) {
      while (!changed) model::let_others_go_on();
      call(verdict::success, start);
      const auto counted = breaker.counts(start);  // of the ring, or moved over
      MUST(counted.total() <= 2 && counted.failed == 1);
    }
  }
};

template <class Breaker>
void explore(model::explorer& e, const std::string& whose, std::uint64_t runs) {
  e.explore<opens_once<Breaker>>(whose + ": opens once", runs);
  e.explore<rates_are_not_missed<Breaker>>(whose + ": rates are not missed", runs);
  e.explore<one_probe_at_a_time<Breaker>>(whose + ": one probe at a time", runs);
  e.explore<probes_decide_once<Breaker>>(whose + ": probes decide once", runs);
  e.explore<old_results_do_not_count<Breaker>>(whose + ": old results do not count", runs);
  e.explore<isolated_stays_isolated<Breaker>>(whose + ": isolated stays isolated", runs);
  e.explore<open_says_for_how_long<Breaker>>(whose + ": open says for how long", runs);
  e.explore<hints_only_lengthen<Breaker>>(whose + ": hints only lengthen", runs);
}

}  // namespace

int main(int argc, char** argv) {
  model::explorer e(argc, argv);
  explore<named>(e, "named", 2500);
  explore<keyed>(e, "keyed", 5000);
  e.explore<a_new_ring_is_whole>("a new ring is whole", 2500);
  e.explore<a_ring_that_goes_is_left>("a ring that goes is left", 2500);
  return e.result();
}
