// SPDX-License-Identifier: BSL-1.0
// What a circuit breaker counts with: windows of time, the ring of calls, the calls in flight.
#include <algorithm>
#include <array>
#include <holdfast/detail/call_ring.hpp>
#include <holdfast/detail/calls_in_flight.hpp>
#include <holdfast/detail/failure_window.hpp>
#include <holdfast/detail/striped_counters.hpp>
#include <holdfast/detail/striped_counts.hpp>
#include <holdfast/detail/thread_slot.hpp>

#include "explore.hpp"

namespace {

namespace hf = holdfast;
using hf::detail::call_kind;
using hf::detail::call_ring;
using hf::detail::calls_in_flight;
using hf::detail::failure_window;
using hf::detail::packed_window;
using hf::detail::striped_counters;
using hf::detail::striped_counts;
using hf::detail::window_clock;
using hf::detail::window_counts;

constexpr std::int64_t period = 1000;

template <class Window>
window_counts sum_of(const Window& w, std::int64_t at) {
  window_counts c;
  w.sum(c, at);
  return c;
}

/// A window's sum is never more than what was added, and all of it when nobody adds any more; also
/// where two begin the same bucket anew.
template <class Window>
struct windows_add_up : model::threads {
  static constexpr int count = 3;
  Window window;
  unsigned begun = 0;
  void before() override { window.add(call_kind::failed, period - window_clock::buckets); }
  void thread(unsigned n) override {
    if (n < 2) {
      for (const auto kind : {call_kind::good, n == 0 ? call_kind::failed : call_kind::slow}) {
        ++begun;
        window.add(kind, period);
      }
    } else {
      MUST(sum_of(window, period).total() <= begun);
    }
  }
  void after() override {
    MUST(sum_of(window, period) == (window_counts{.good = 2, .slow = 1, .failed = 1}));
    MUST(sum_of(window, period + window_clock::buckets).total() == 0);
  }
};

/// A late call counts into the period that has begun meanwhile; none is lost.
template <class Window>
struct late_calls_count_into_the_new_period : model::threads {
  static constexpr int count = 2;
  Window window;
  void before() override { window.add(call_kind::failed, period); }
  void thread(unsigned n) override {
    const std::int64_t mine = period + n * window_clock::buckets;
    window.add(call_kind::failed, mine);
    window.add(call_kind::failed, mine);
  }
  void after() override {
    const auto now = sum_of(window, period + window_clock::buckets).failed;
    MUST(now >= 2 && now <= 4);
  }
};

/// Threads with stripes of their own and threads that share some: nothing is counted twice or lost.
/// Of two bad calls at once the later one sees both.
struct stripes_add_up : model::threads {
  static constexpr int count = 3;
  striped_counts counts;
  std::array<std::uint64_t, count> seen{};
  void before() override { hf::detail::first_thread_slot = 3; }  // the first alone, the rest share
  void thread(unsigned n) override {
    // Those who share a stripe share a word; so that nothing but the order of what they do makes
    // them see each other, each has a period of its own.
    counts.add_good(period + n);
    counts.add(call_kind::failed, period + n);
    seen[n] = counts.sum(period + 2).failed;
  }
  void after() override {
    MUST(std::ranges::max(seen) == 3);
    MUST(counts.sum(period + 2) == (window_counts{.good = 3, .failed = 3}));
  }
};

/// Threads without a stripe of their own count good calls with care.
struct who_shares_a_stripe_loses_nothing : model::threads {
  static constexpr int count = 3;
  striped_counts counts;
  void before() override { hf::detail::first_thread_slot = 4; }  // the first and the third share
  void thread(unsigned) override {
    counts.add_good(period);
    counts.add_good(period);
  }
  void after() override { MUST(counts.sum(period) == (window_counts{.good = 6})); }
};

/// A good call judges where a bad one that it can know of is in the window, and nobody has since.
struct settled_until_the_next_bad_call : model::threads {
  static constexpr int count = 2;
  striped_counts counts;
  void thread(unsigned n) override {
    if (n == 0) {
      counts.add(call_kind::failed, period);
      MUST(counts.add_good(period) == true);
      counts.settle(period);
      MUST(counts.add_good(period) == false);
      MUST(counts.add_good(period + 1) == true);
    } else {
      counts.add_good(period);
    }
  }
  void after() override { MUST(counts.may_hold_bad(period)); }
};

/// What is forgotten while others count is gone, but for what they are just counting.
struct forgotten_is_gone : model::threads {
  static constexpr int count = 3;
  striped_counts counts;
  void before() override {
    counts.add(call_kind::failed, period);
    counts.add(call_kind::failed, period);
  }
  void thread(unsigned n) override {
    if (n == 0) {
      counts.clear();
      counts.add(call_kind::failed, period);
      MUST(counts.sum(period).failed >= 1);
    } else {
      counts.add_good(period);
    }
  }
  void after() override {
    MUST(counts.sum(period).failed == 1);
    MUST(counts.sum(period).good <= 2);
  }
};

/// The same counters where only sums matter; the sums that one thread reads never go back.
struct counters_add_up : model::threads {
  static constexpr int count = 3;
  striped_counters<2> counters{1};
  void thread(unsigned n) override {
    if (n < 2) {
      counters.add(0);
      counters.add(1);
    } else {
      const auto first = counters.sum();
      const auto second = counters.sum();
      MUST(first[0] <= second[0] && first[1] <= second[1]);
      MUST(second[0] <= 2 && second[1] <= 2);
    }
  }
  void after() override { MUST((counters.sum() == striped_counters<2>::totals{2, 2})); }
};

/// What a ring holds by its totals and by its calls, one by one.
bool agrees_with_itself(const call_ring& ring) {
  call_ring copy{ring.size()};
  copy.copy_from(ring);
  return copy.sum() == ring.sum();
}

/// A ring holds the last so many calls: as many as it has room for, whoever counts at once.
struct a_ring_is_exact_at_rest : model::threads {
  static constexpr int count = 3;
  call_ring ring{2};
  void thread(unsigned n) override {
    if (n < 2) {
      ring.add(n == 0 ? call_kind::good : call_kind::failed);
      ring.add(n == 0 ? call_kind::failed : call_kind::good);
    } else {
      MUST(ring.sum().total() <= 2);
    }
  }
  void after() override {
    MUST(ring.sum().total() == 2);
    MUST(agrees_with_itself(ring));
    ring.add(call_kind::slow);
    ring.add(call_kind::slow);
    MUST((ring.sum() == window_counts{.slow = 2}));
  }
};

/// A full ring stays full, also while one thread takes a call out that another has yet to add.
struct a_full_ring_stays_full : model::threads {
  static constexpr int count = 3;
  call_ring ring{2};
  void before() override {
    ring.add(call_kind::failed);
    ring.add(call_kind::failed);
  }
  void thread(unsigned n) override {
    if (n < 2) {
      ring.add(n == 0 ? call_kind::slow : call_kind::failed_slow);
      ring.add(n == 0 ? call_kind::failed_slow : call_kind::failed);
    } else {
      for (int i = 0; i < 8; ++i) {
        const window_counts seen = ring.sum();
        MUST(seen.total() == 2 && seen.good == 0);
      }
    }
  }
  void after() override { MUST(agrees_with_itself(ring)); }
};

/// What a ring forgets while others count is forgotten or counted, and never counted twice.
struct a_ring_forgets : model::threads {
  static constexpr int count = 3;
  call_ring ring{2};
  void before() override { ring.add(call_kind::failed); }
  void thread(unsigned n) override {
    if (n == 0) {
      ring.clear();
      MUST(ring.sum().total() <= 2);
    } else {
      ring.add(call_kind::good);
    }
  }
  void after() override {
    MUST(ring.sum().failed == 0);
    ring.add(call_kind::slow);
    ring.add(call_kind::slow);
    MUST((ring.sum() == window_counts{.slow = 2}));
    ring.clear();
    MUST(ring.sum().total() == 0);
  }
};

/// A call that knows that the ring has forgotten is counted as well as kept.
struct a_ring_begins_anew : model::threads {
  static constexpr int count = 2;
  call_ring ring{3};
  void before() override { ring.add(call_kind::failed); }
  void thread(unsigned n) override {
    if (n == 0) {
      ring.clear();
      ring.add(call_kind::slow);
    } else {
      ring.add(call_kind::good);
    }
  }
  void after() override {
    MUST(ring.sum().slow == 1 && ring.sum().failed == 0);
    MUST(agrees_with_itself(ring));
  }
};

/// Calls in flight: each that enters leaves, also where another span takes its place in the ring.
struct calls_that_leave_are_gone : model::threads {
  static constexpr int count = 3;
  calls_in_flight calls;
  void thread(unsigned n) override {
    const std::int64_t span = n * 16;  // one place for all
    calls.enter(0, span);
    calls.leave(0, span);
  }
  void after() override { MUST(calls.late(0, 1000) == 0); }
};

/// Those that stay are late in the end, all of them.
struct calls_that_hang_are_late : model::threads {
  static constexpr int count = 3;
  calls_in_flight calls;
  void thread(unsigned n) override {
    const std::int64_t span = n * 16;
    calls.enter(0, span);
    calls.enter(0, span);
    calls.leave(0, span);
  }
  void after() override { MUST(calls.late(0, 1000) == 3); }
};

/// After a change nobody from before it is known, and those who come then are.
struct a_change_forgets_who_is_in_flight : model::threads {
  static constexpr int count = 3;
  calls_in_flight calls;
  void before() override { calls.enter(0, 16); }
  void thread(unsigned n) override {
    if (n == 0) {
      calls.clear(1);
      calls.enter(1, 16);
      calls.enter(1, 32);
      calls.leave(1, 16);
    } else if (n == 1) {
      calls.enter(0, 32);
      calls.leave(0, 32);
    } else {
      calls.leave(0, 16);
    }
  }
  void after() override {
    MUST(calls.late(0, 1000) == 0);
    MUST(calls.late(1, 1000) == 1);
  }
};

}  // namespace

int main(int argc, char** argv) {
  model::explorer e(argc, argv);
  e.explore<windows_add_up<failure_window>>("windows add up", 10'000);
  e.explore<windows_add_up<packed_window>>("packed windows add up", 10'000);
  e.explore_all<late_calls_count_into_the_new_period<failure_window>>("late calls count");
  e.explore_all<late_calls_count_into_the_new_period<packed_window>>("late calls count, packed");
  e.explore<stripes_add_up>("stripes add up", 5'000);
  e.explore<who_shares_a_stripe_loses_nothing>("who shares a stripe loses nothing", 5'000);
  e.explore<settled_until_the_next_bad_call>("settled until the next bad call", 2'000);
  e.explore<forgotten_is_gone>("forgotten is gone", 5'000);
  e.explore<counters_add_up>("counters add up", 10'000);
  e.explore<a_ring_is_exact_at_rest>("a ring is exact at rest", 20'000);
  e.explore<a_full_ring_stays_full>("a full ring stays full", 20'000);
  e.explore<a_ring_forgets>("a ring forgets", 20'000);
  e.explore<a_ring_begins_anew>("a ring begins anew", 20'000);
  e.explore<calls_that_leave_are_gone>("calls that leave are gone", 10'000);
  e.explore<calls_that_hang_are_late>("calls that hang are late", 10'000);
  e.explore<a_change_forgets_who_is_in_flight>("a change forgets who is in flight", 10'000);
  return e.result();
}
