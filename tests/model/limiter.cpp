// SPDX-License-Identifier: BSL-1.0
// The rate limiter: its schedule is one word, its plan one pointer.
#include <algorithm>
#include <array>
#include <holdfast/detail/limiter_core.hpp>
#include <vector>

#include "explore.hpp"

namespace {

namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::detail::booking;
using hf::detail::limiter_core;

constexpr hf::time_point start{1h};

struct admitted {
  hf::time_point at;
  std::int64_t mark = 0;
};

/// Whether no stretch of time has more than the burst and what the rate gives in it.
bool conforms(std::vector<admitted> all, unsigned burst, hf::duration interval) {
  std::ranges::sort(all, {}, &admitted::at);
  for (std::size_t from = 0; from < all.size(); ++from) {
    for (std::size_t to = from; to < all.size(); ++to) {
      const auto most = burst + static_cast<std::size_t>((all[to].at - all[from].at) / interval);
      if (to - from + 1 > most) return false;
    }
  }
  return true;
}

/// A limiter of two permits a second, and what each thread got of it.
struct with_limiter : model::threads {
  static constexpr int count = 3;
  limiter_core limiter{{.permits = 2, .period = 1s, .burst = 2, .max_wait = 1min}};
  std::array<std::vector<admitted>, count> got;

  bool take(unsigned thread, hf::time_point now, hf::duration behind = 0s) {
    const bool taken = limiter.take(limiter.plan(), 1, now, behind);
    if (taken) got[thread].push_back({now});
    return taken;
  }
  booking book(unsigned thread, hf::time_point now) {
    const booking b = limiter.book(1, now, hf::never);
    if (b.what != booking::kind::refused) got[thread].push_back({b.at, b.mark});
    return b;
  }
  std::vector<admitted> all() const {
    std::vector<admitted> joined;
    for (const auto& mine : got) joined.insert(joined.end(), mine.begin(), mine.end());
    return joined;
  }
};

/// Whatever is taken and booked at once, no stretch of time has more than the burst and the rate,
/// and no permit is lost: all are given, one after another.
struct no_more_than_burst_and_rate : with_limiter {
  void thread(unsigned n) override {
    if (!take(n, start)) book(n, start);
    book(n, start);
  }
  void after() override {
    MUST(conforms(all(), 2, 500ms));
    MUST(all().size() == 6);
    MUST(limiter.snapshot(start).next_free == 2500ms);
    MUST(limiter.snapshot(start + 4s).available == 2);
  }
};

/// The same while the threads' clocks differ.
struct clocks_that_differ : with_limiter {
  void thread(unsigned n) override {
    const hf::time_point now = start + n * 400ms;
    take(n, now);
    take(n, now);
    take(n, now + 100ms);
  }
  void after() override {
    MUST(conforms(all(), 2, 500ms));
    MUST(all().size() >= 2);
  }
};

/// What is booked for later and given back goes to those who book next: to one, and none is lost.
struct a_cancelled_booking_is_not_given_twice
    : with_limiter {
  void before() override {
    take(0, start);
    take(0, start);
  }
  void thread(unsigned n) override {
    const booking b = book(n, start);
    if (n == 0) {
      got[n].pop_back();
      limiter.cancel(1, b.mark);
    } else {
      book(n, start);
    }
  }
  void after() override {
    MUST(conforms(all(), 2, 500ms));
    const hf::duration next = limiter.snapshot(start).next_free;
    MUST(next <= 2500ms);
    MUST(book(0, start).at == start + next);
    MUST(conforms(all(), 2, 500ms));
    MUST(limiter.snapshot(start).next_free == 3s);
  }
};

/// What goes back into the store, and what is given back of the schedule, is not given twice.
struct a_refund_beside_a_cancelled_booking : with_limiter {
  std::int64_t unused = 0;
  std::array<int, count> admitted_at_once{};

  bool at_once(unsigned thread) {
    const bool is = limiter.book(1, start + 1s, start + 1s + 1ns).what == booking::kind::admitted;
    admitted_at_once[thread] += is;
    return is;
  }
  void before() override {
    take(0, start);
    take(0, start);
    unused = book(0, start).mark;
    book(0, start);
  }
  void thread(unsigned n) override {
    switch (n) {
      case 0: return limiter.cancel(1, unused);
      case 1: return limiter.settle(1, 0, 0, start + 1s);
      default: at_once(n); at_once(n);
    }
  }
  void after() override {
    while (at_once(0)) {
    }
    // Two have come in a second, one is taken, one was given back.
    MUST(admitted_at_once[0] + admitted_at_once[2] <= 2);
  }
};

/// What is given back and what is taken besides add up, in whichever order they come.
struct refunds_and_charges_add_up : with_limiter {
  void before() override {
    take(0, start);
    take(0, start);
  }
  void thread(unsigned n) override {
    const unsigned used = n == 0 ? 2 : 0;
    limiter.settle(1, 0, used, start);
  }
  void after() override {
    book(0, start);
    book(0, start);
    MUST(book(0, start).at == start + 1s);
  }
};

/// What was given back while others waited serves as many as it is worth, and no more.
struct a_credit_is_used_once : with_limiter {
  void before() override {
    limiter.settle(0, 0, 3, start);
    limiter.settle(2, 0, 0, start);
  }
  void thread(unsigned n) override { book(n, start); }
  void after() override {
    const auto at_once = [](const admitted& a) { return a.at == start; };
    MUST(std::ranges::count_if(all(), at_once) == 2);
  }
};

/// Once a hold is heard of, nobody is served before its end, and a shorter one changes nothing.
struct nobody_overtakes_a_hold : with_limiter {
  void thread(unsigned n) override {
    if (n == 0) {
      limiter.hold_for(10s, start);
      MUST(!take(n, start + 1s));
      MUST(book(n, start + 1s).at >= start + 10s);
    } else if (n == 1) {
      limiter.hold_for(5s, start);  // never shortens
    } else {
      take(n, start);
    }
  }
  void after() override { MUST(limiter.snapshot(start).held_for == 10s); }
};

/// A plan that calls find has been made before: and those who hold the old one may go on with it.
struct a_new_plan_is_whole : with_limiter {
  void thread(unsigned n) override {
    if (n == 0) {
      limiter.reconfigure({.permits = 4, .period = 1s, .burst = 4, .max_wait = 1min}, start);
    } else {
      const unsigned burst = limiter.plan().options.burst;
      MUST(burst == 2 || burst == 4);
      take(n, start);
      take(n, start);
    }
  }
  void after() override {
    MUST(limiter.plan().options.burst == 4);
    MUST(all().size() <= 4);
  }
};

/// Of plans that are made at once each follows the one before it.
struct plans_follow_each_other : with_limiter {
  void before() override {
    take(0, start);
    take(0, start);
  }
  void thread(unsigned n) override {
    if (n == 0) {
      limiter.reconfigure({.permits = 4, .period = 1s, .burst = 8, .max_wait = 1min}, start);
    } else if (n == 1) {
      limiter.reconfigure({.permits = 8, .period = 1s, .burst = 4, .max_wait = 1min}, start);
    }
  }
  void after() override {
    MUST(limiter.snapshot(start).next_free ==
         hf::duration(1s) / limiter.plan().options.permits);
  }
};

/// Of those who come at once no more than the option allows wait.
struct no_more_wait_than_may : model::threads {
  static constexpr int count = 3;
  limiter_core limiter{{.permits = 1, .period = 1s, .max_wait = 1min, .max_waiting = 1}};
  std::array<booking, count> got;

  void before() override { limiter.book(1, start, start); }
  void thread(unsigned n) override {
    got[n] = limiter.book_and_wait(1, start, hf::never);
    if (n == 0 && got[n].what == booking::kind::later) limiter.wait_over();
  }
  void after() override {
    const auto waits = [](const booking& b) { return b.what == booking::kind::later; };
    const auto all = std::ranges::count_if(got, waits);
    MUST(all >= 1 && all <= (waits(got[0]) ? 2 : 1));
    MUST(limiter.snapshot(start).waiting == all - (waits(got[0]) ? 1 : 0));
    MUST(limiter.snapshot(start).next_free == (all + 1) * 1s);
  }
};

}  // namespace

int main(int argc, char** argv) {
  model::explorer e(argc, argv);
  e.explore<no_more_than_burst_and_rate>("no more than burst and rate", 10'000);
  e.explore<clocks_that_differ>("no more than burst and rate, where clocks differ", 10'000);
  e.explore<a_cancelled_booking_is_not_given_twice>(
      "a cancelled booking is not given twice", 10'000);
  e.explore<a_refund_beside_a_cancelled_booking>("a refund beside a cancelled booking", 10'000);
  e.explore<refunds_and_charges_add_up>("refunds and charges add up", 10'000);
  e.explore<a_credit_is_used_once>("a credit is used once", 10'000);
  e.explore<nobody_overtakes_a_hold>("nobody overtakes a hold", 10'000);
  e.explore<a_new_plan_is_whole>("a new plan is whole", 10'000);
  e.explore<plans_follow_each_other>("plans follow each other", 10'000);
  e.explore<no_more_wait_than_may>("no more wait than may", 10'000);
  return e.result();
}
