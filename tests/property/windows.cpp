// SPDX-License-Identifier: BSL-1.0
// What counts and measures, each against a list of all that ever happened.
#include <algorithm>
#include <catch2/catch_all.hpp>
#include <cmath>
#include <deque>
#include <holdfast/detail/call_ring.hpp>
#include <holdfast/detail/calls_in_flight.hpp>
#include <holdfast/detail/duration_histogram.hpp>
#include <holdfast/detail/failure_window.hpp>
#include <holdfast/detail/hedge_core.hpp>
#include <holdfast/detail/latency_tracker.hpp>
#include <holdfast/detail/load_shedder_core.hpp>
#include <holdfast/detail/retry_budget_core.hpp>
#include <holdfast/detail/striped_counts.hpp>
#include <holdfast/detail/throttle_core.hpp>
#include <holdfast/policy/backoff.hpp>
#include <holdfast/time/timer_wheel.hpp>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "../support/property.hpp"

namespace {

namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::verdict;
using hf::detail::call_kind;
using hf::detail::window_counts;
using test::step;

constexpr hf::time_point start{1h};
constexpr test::cases few{.count = 400, .size = 150};

call_kind kind_of(unsigned n) { return static_cast<call_kind>(n % 4); }

struct counted {
  std::int64_t period;
  call_kind kind;
  std::uint64_t n = 1;
};

window_counts sum_of(const std::vector<counted>& all, std::int64_t period) {
  window_counts sum;
  for (const counted& c : all) {
    if (c.period > period - 10) sum.add(c.kind, c.n);
  }
  return sum;
}

}  // namespace

TEST_CASE("a window is the list of its calls", "[failure_window][property]") {
  const bool held = test::holds("windows", few, [] {
    hf::detail::failure_window plain;
    hf::detail::packed_window packed;
    hf::detail::striped_counts striped;
    std::vector<counted> all;      // in `plain` and `packed`
    std::vector<counted> striped_all;
    std::int64_t last_bad = -1000;
    std::int64_t settled = -1000;
    std::uint64_t refused = 0;
    std::int64_t period = test::number(0, 2) * std::int64_t{16'777'210};  // around 2^24
    for (const step& s : test::any_steps()) {
      const call_kind k = kind_of(s.a);
      switch (s.what % 10) {
        case 0:
        case 1: period += s.a % 4; break;
        case 2: period += s.a % 7 == 0 ? s.b : 1; break;
        case 3:
          plain.clear();
          packed.clear();
          striped.clear();
          all.clear();
          striped_all.clear();
          last_bad = settled = -1000;
          break;
        case 4:
          striped.settle(period);
          settled = period;
          if (s.a % 3 == 0) {
            striped.unsettle();
            settled = -1000;
          }
          break;
        case 5:
          striped.count_refusal();
          ++refused;
          break;
        case 6: {
          const bool judge = striped.add_good(period);
          striped_all.push_back({period, call_kind::good});
          RC_ASSERT(judge == (period - last_bad < 10 && settled != period));
          break;
        }
        default: {
          const std::uint64_t n = s.b % 4;
          striped.add(k, period, n);
          striped_all.push_back({period, k, n});
          if (n != 0 && k != call_kind::good) last_bad = period;
          for (unsigned i = 0; i < n; ++i) packed.add(k, period);
          if (n == 1) {
            plain.add_alone(k, period);
          } else if (n != 0) {
            plain.add(k, period, n);
          }
          all.push_back({period, k, n});
        }
      }
      // Another thread's clock may be a little ahead, or behind.
      for (const std::int64_t at : {period, period + 1, period + 9, period + 10}) {
        window_counts of_plain;
        window_counts of_packed;
        plain.sum(of_plain, at);
        packed.sum(of_packed, at);
        RC_ASSERT((of_plain == sum_of(all, at)));
        RC_ASSERT((of_packed == sum_of(all, at)));
        RC_ASSERT((striped.sum(at) == sum_of(striped_all, at)));
        RC_ASSERT(striped.may_hold_bad(at) == (at - last_bad < 10));
      }
      RC_ASSERT(striped.refused() == refused);
    }
  });
  CHECK(held);
}

TEST_CASE("a ring is its last calls", "[call_ring][property]") {
  const bool held = test::holds("ring", few, [] {
    const unsigned size = test::number(1, 20);
    auto ring = std::make_unique<hf::detail::call_ring>(size);
    std::deque<call_kind> last;
    for (const step& s : test::any_steps()) {
      if (s.what % 40 == 0) {
        ring->clear();
        last.clear();
      } else if (s.what % 40 == 1) {
        auto other = std::make_unique<hf::detail::call_ring>(1 + s.a % 20);
        other->copy_from(*ring);
        ring = std::move(other);
      } else {
        ring->add(kind_of(s.a));
        last.push_back(kind_of(s.a));
      }
      while (last.size() > ring->size()) last.pop_front();
      window_counts sum;
      for (const call_kind k : last) sum.add(k, 1);
      RC_ASSERT((ring->sum() == sum));
    }
  });
  CHECK(held);
}

TEST_CASE("calls in flight are late once their span is, and leave when they leave",
          "[calls_in_flight][property]") {
  const bool held = test::holds("in flight", few, [] {
    hf::detail::calls_in_flight c;
    std::uint64_t generation = test::number(1, 400);
    std::int64_t span = 1000 + (test::maybe(0.5) ? 0xffff'ffff - 1050 : 0);
    std::vector<std::pair<std::uint64_t, std::int64_t>> in;  // generation and span
    std::set<std::int64_t> begun;
    c.clear(generation);
    for (const step& s : test::any_steps()) {
      switch (s.what % 8) {
        case 0: span += s.a % 5; break;
        case 1:
          if (s.a % 10 != 0) break;
          c.clear(++generation);
          begun.clear();
          break;
        case 2:
          if (s.a % 5 == 0) RC_ASSERT(!c.enter(generation - 1, span));  // was slow to say so
          break;
        case 3:
        case 4:
          if (in.empty()) break;
          c.leave(in[s.a % in.size()].first, in[s.a % in.size()].second);
          test::take_out(in, s.a % in.size());
          break;
        default:
          // A place that was cleared looks as if span 0 had begun in it, or one with the same low
          // bits.
          if (c.enter(generation, span) != begun.insert(span).second) {
            RC_ASSERT((span & 0xffff'ffff) == 0);
          }
          in.emplace_back(generation, span);
      }
      for (const std::int64_t at : {span, span + 8, span + 9}) {
        const auto late = std::ranges::count_if(
            in, [&](const auto& i) { return i.first == generation && at - i.second > 8; });
        RC_ASSERT(c.late(generation, at) == static_cast<std::uint64_t>(late));
      }
      RC_ASSERT(c.late(generation + 1, span) == 0u);
    }
  });
  CHECK(held);
}

namespace {

struct timer final : hf::timer_entry {
  void on_expiry() noexcept override {}
  void on_shutdown() noexcept override {}
  std::int64_t due = 0;  // tick
};

}  // namespace

TEST_CASE("timers expire at the first tick at or after their time, in order",
          "[timer_wheel][property]") {
  const bool held = test::holds("wheel", few, [] {
    constexpr std::int64_t tick = hf::timer_wheel::tick.count();
    hf::timer_wheel wheel;
    std::deque<timer> timers(40);
    std::set<timer*> armed;  // without those at `never`
    std::set<timer*> idle;
    hf::time_point now{hf::duration(test::number(0, 1'000'000'000))};
    std::int64_t reached = 0;  // tick
      const auto some_time = [tick](const step& s) {
      // From nanoseconds to days, and both sides of a tick.
      const auto d = hf::duration((std::int64_t{s.a} + 1) << (s.b % 40));
      return s.b % 3 == 0 ? d / tick * tick + hf::duration(s.a % 3) - 1ns : d;
    };
    const auto advance = [&](hf::time_point to, unsigned out) {
      hf::timer_list expired;
      wheel.advance(to, expired);
      reached = std::max(reached, to.time_since_epoch().count() / tick);
      std::int64_t before = 0;
      // Until it is its turn, an expired timer may be taken out.
      for (timer& t : timers) {
        if (out > 0 && armed.contains(&t) && t.due <= reached && --out == 0) {
          wheel.remove(t);
          armed.erase(&t);
        }
      }
      while (!expired.empty()) {
        auto& t = static_cast<timer&>(expired.front());
        hf::timer_list::unlink(t);
        RC_ASSERT(armed.erase(&t) == 1u);
        RC_ASSERT(t.due <= reached);
        RC_ASSERT(t.due >= before);
        before = t.due;
      }
      for (const timer* t : armed) RC_ASSERT(t->due > reached);
    };
    for (const step& s : test::any_steps()) {
      timer& t = timers[s.a % timers.size()];
      switch (s.what % 4) {
        case 0:
        case 1: {
          if (t.linked()) break;
          const hf::time_point when = s.b % 17 == 0   ? hf::never
                                      : s.b % 11 == 0 ? now - some_time(s)
                                                      : now + some_time(s);
          wheel.insert(t, when);
          if (when == hf::never) {
            idle.insert(&t);
            break;
          }
          const std::int64_t ns = when.time_since_epoch().count();
          t.due = std::max(ns <= 0 ? 0 : (ns + tick - 1) / tick, reached + 1);
          RC_ASSERT(hf::timer_wheel::round_up(when) >= std::max(when, hf::time_point()));
          RC_ASSERT(hf::timer_wheel::round_up(when) < std::max(when, hf::time_point()) +
                                                          hf::timer_wheel::tick);
          armed.insert(&t);
          break;
        }
        case 2:
          if (!t.linked()) break;
          wheel.remove(t);
          armed.erase(&t);
          idle.erase(&t);
          break;
        case 3: {
          const auto next = wheel.next();
          hf::time_point to = now + some_time(s);
          if (s.b % 2 == 0 && next) to = s.b % 4 == 0 ? *next : *next - 1ns;
          now = std::max(now, to);
          advance(now, s.a % 5 == 0 ? 1 + s.a % 3 : 0);
          break;
        }
      }
      RC_ASSERT(wheel.size() == armed.size());
      const auto next = wheel.next();
      RC_ASSERT(next.has_value() == !armed.empty());
      if (!next) continue;
      const timer* first = *std::ranges::min_element(armed, {}, [](const timer* a) {
        return a->due;
      });
      RC_ASSERT(next->time_since_epoch().count() <= first->due * tick);
      RC_ASSERT(next->time_since_epoch().count() > reached * tick);
    }
    // Nobody is lost at the end: neither those who wait for a time nor those who do not.
    if (test::maybe(0.5)) {
      for (int steps = 0; !armed.empty(); ++steps) {
        RC_ASSERT(steps < 400);
        advance(*wheel.next(), 0);
      }
    }
    while (hf::timer_entry* t = wheel.pop_any()) {
      auto* const one = static_cast<timer*>(t);
      RC_ASSERT(armed.erase(one) + idle.erase(one) == 1u);
    }
    RC_ASSERT(armed.empty());
    RC_ASSERT(idle.empty());
  });
  CHECK(held);
}

namespace {

hf::duration some_latency(const step& s) {
  return hf::duration((std::int64_t{s.a} * 37 + 1) << (s.b % 28)) - hf::duration(s.b % 5);
}

hf::duration exact_quantile(std::vector<hf::duration> all, double q) {
  std::ranges::sort(all);
  const double rank = std::ceil(q * static_cast<double>(all.size()));
  return all[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

}  // namespace

TEST_CASE("a histogram's quantiles are exact to a quarter, and never too small",
          "[duration_histogram][property]") {
  const bool held = test::holds("histogram", few, [] {
    hf::detail::duration_histogram h;
    std::vector<hf::duration> all;
    RC_ASSERT(h.quantile(0.5) == 0s);
    for (const step& s : test::any_steps()) {
      const hf::duration d = std::min<hf::duration>(some_latency(s), 1h);
      h.add(d);
      all.push_back(std::max<hf::duration>(d, 0s));
      const double q = s.what / 999.0;
      const hf::duration exact = exact_quantile(all, q);
      RC_ASSERT(h.count() == all.size());
      RC_ASSERT(h.longest() == *std::ranges::max_element(all));
      RC_ASSERT(h.quantile(q) >= exact);
      RC_ASSERT(h.quantile(q) <= std::max<hf::duration>(exact + exact / 4, exact + 1us));
      RC_ASSERT(h.quantile(q) <= h.longest());
    }
  });
  CHECK(held);
}

TEST_CASE("a live percentile is exact to an eighth, and of half a window at least",
          "[hedge][property]") {
  const bool held = test::holds("tracker", few, [] {
    const hf::duration window = hf::duration(1ms) * test::number(1, 1000);
    const unsigned minimum = test::number(0, 8);
    hf::detail::latency_tracker tracker(window);
    hf::hedge_options o;
    o.delay = 77ms;
    o.percentile = test::number(1, 99) / 100.0;
    o.window = window;
    o.minimum_samples = std::max(minimum, 1u);
    o.minimum_delay = 3ms;
    hf::detail::hedge_core::rules rules(o);
    std::vector<std::pair<hf::time_point, hf::duration>> all;
    hf::time_point now = start;
    std::optional<hf::time_point> good_until;
    const auto half = [&](hf::time_point t) { return t.time_since_epoch() / (window / 2); };
    const auto known = [&] {
      std::vector<hf::duration> d;
      for (const auto& [at, latency] : all) {
        if (half(at) >= half(now) - 1) d.push_back(latency);
      }
      return d;
    };
    const auto near = [](hf::duration is, hf::duration exact) {
      RC_ASSERT(is >= exact);
      RC_ASSERT(is <= exact + std::max<hf::duration>(exact / 8, 1024ns));
    };
    hf::duration should = o.delay;
    for (const step& s : test::any_steps()) {
      switch (s.what % 4) {
        case 0: now += window * (s.a % 40) / 60; break;
        case 1: now = s.a % 3 == 0 && good_until ? std::max(now, *good_until) : now + 1ns; break;
        default:
          tracker.record(some_latency(s), now);
          hf::detail::hedge_core::record(rules, some_latency(s), now);
          all.emplace_back(now, std::max<hf::duration>(some_latency(s), 0s));
      }
      const auto d = known();
      const double q = s.b / 999.0;
      const auto is = tracker.quantile(q, minimum, now);
      RC_ASSERT(is.has_value() == (!d.empty() && d.size() >= minimum));
      if (is) near(*is, exact_quantile(d, q));
      // The delay is the percentile of this moment, or of less than a hundredth of a window ago.
      const hf::duration delay = hf::detail::hedge_core::delay(rules, now);
      if (good_until && now < *good_until) {
        RC_ASSERT(delay == should);
        continue;
      }
      good_until = now + window / 100;
      should = delay;
      if (d.size() < o.minimum_samples) {
        RC_ASSERT(delay == o.delay);
      } else if (delay > o.minimum_delay) {
        near(delay, exact_quantile(d, o.percentile));
      } else {
        RC_ASSERT(delay == o.minimum_delay);
        RC_ASSERT(exact_quantile(d, o.percentile) <= delay);
      }
    }
  });
  CHECK(held);
}

TEST_CASE("delays keep to their formula", "[backoff][property]") {
  const bool held = test::holds("backoff", {.count = 20'000}, [] {
    const auto range = [](std::int64_t low, std::int64_t high) {
      return *test::below<std::int64_t>(low, high + 1);
    };
    hf::backoff b;
    b.kind = *rc::gen::element(hf::backoff_kind::constant, hf::backoff_kind::linear,
                               hf::backoff_kind::exponential);
    b.jitter = *rc::gen::element(hf::jitter::none, hf::jitter::full, hf::jitter::equal,
                                 hf::jitter::decorrelated);
    b.base = hf::duration(test::maybe(0.1) ? 0 : range(0, 1'000'000'000));
    b.cap = b.base + hf::duration(test::maybe(0.2) ? 0 : range(0, 100'000'000'000));
    b.factor = static_cast<double>(range(10, 40)) / 10;
    const auto retry = static_cast<std::uint64_t>(test::maybe(0.1) ? range(1, 1L << 60)
                                                                   : range(1, 40));
    const hf::duration previous(range(0, b.cap.count()));
    const auto base = static_cast<long double>(b.base.count());
    const auto cap = static_cast<long double>(b.cap.count());
    const auto n = static_cast<long double>(retry);
    long double ideal = base;
    if (b.kind == hf::backoff_kind::linear) ideal = base * n;
    if (b.kind == hf::backoff_kind::exponential) {
      ideal = base == 0 ? 0 : base * std::pow(static_cast<long double>(b.factor), n - 1);
    }
    long double high = std::min(ideal, cap);
    long double low = b.jitter == hf::jitter::full    ? 0
                      : b.jitter == hf::jitter::equal ? high / 2
                                                      : high;
    if (b.jitter == hf::jitter::decorrelated) {
      high = std::min(3 * std::max(base, static_cast<long double>(previous.count())), cap);
      low = std::min(base, high);
      if (base == 0 && previous == 0s) low = high = 0;
    }
    const long double slack = 1 + high * 1e-9L;
    const auto delay = [&](std::uint64_t random) {
      const hf::duration d = hf::next_delay(b, retry, previous, random);
      RC_ASSERT(d >= 0s);
      RC_ASSERT(d <= b.cap);
      RC_ASSERT(static_cast<long double>(d.count()) >= low - slack);
      RC_ASSERT(static_cast<long double>(d.count()) <= high + slack);
      return static_cast<long double>(d.count());
    };
    const auto random = *rc::gen::arbitrary<std::uint64_t>();
    RC_ASSERT(delay(random) <= delay(std::max(random, ~std::uint64_t{0} - 5)));
    RC_ASSERT(delay(0) <= low + slack);
    RC_ASSERT(delay(~std::uint64_t{0}) >= high - slack);
    RC_ASSERT(std::abs(delay(std::uint64_t{1} << 63) - (low + high) / 2) <= slack);
  });
  CHECK(held);
}

namespace {

/// The number of the 32nd part of a window that a time is in.
std::int64_t part_of(hf::time_point t, hf::duration window) {
  return t.time_since_epoch().count() / (window.count() / 32);
}

/// Passes some time, often to the very beginning of a part.
void pass(hf::time_point& now, hf::duration window, const step& s) {
  const hf::duration part(window.count() / 32);
  switch (s.b % 4) {
    case 0: now += part * (s.a % 3); break;
    case 1: now += window * (s.a % 5) / 4; break;
    case 2: now += part - now.time_since_epoch() % part - hf::duration(s.a % 2); break;
    default: now += hf::duration(s.a);
  }
}

}  // namespace

TEST_CASE("a budget by ratio is never overdrawn, in no span as long as its time to live",
          "[budget][property]") {
  const bool held = test::holds("ratio", {.count = 1500, .size = 200}, [] {
    hf::retry_budget_options o;
    o.ttl = hf::duration(32'000) * test::number(32, 3200);
    o.ratio = test::number(0, 8) / 4.0;
    o.min_per_second =
        test::number(0, 6) / std::chrono::duration<double>(o.ttl).count() * 1.000001;
    hf::detail::retry_budget_core core(o);
    struct draw {
      hf::time_point at;
      std::int64_t part;
    };
    std::vector<hf::time_point> calls;
    std::vector<draw> drawn;
    hf::time_point now = start;
    std::uint64_t granted = 0;
    std::uint64_t released = 0;
    std::uint64_t exhausted = 0;
    double ratio = o.ratio;
    const auto calls_known = [&] {
      return static_cast<std::uint64_t>(std::ranges::count_if(
          calls, [&](auto t) { return part_of(t, o.ttl) > part_of(now, o.ttl) - 32; }));
    };
    const auto drawn_known = [&] {
      return static_cast<std::uint64_t>(std::ranges::count_if(
          drawn, [&](const draw& d) { return d.part >= part_of(now, o.ttl) - 32; }));
    };
    const auto floor = [&] {
      return std::floor(o.min_per_second * std::chrono::duration<double>(o.ttl).count());
    };
    const auto left = [&] {
      const double sum = ratio * static_cast<double>(calls_known()) + floor() -
                         static_cast<double>(drawn_known());
      return static_cast<std::uint64_t>(std::max(sum, 0.0));
    };
    for (const step& s : test::any_steps()) {
      switch (s.what % 10) {
        case 0:
        case 1: pass(now, o.ttl, s); break;
        case 2:
        case 3:
        case 4:
        case 5:
          core.on_call(now);
          calls.push_back(now);
          break;
        case 6:
          if (drawn.empty() || s.a % 3 == 0) break;
          {
            const std::size_t which = s.a % drawn.size();
            const bool known = drawn[which].part >= part_of(now, o.ttl) - 32;
            core.release(drawn[which].at, now);
            released += known;
            if (known) test::take_out(drawn, which);
          }
          break;
        case 7:
          core.on_failure();
          core.on_success();
          if (s.a % 20 != 0) break;
          o.ratio = ratio = s.b % 8 / 4.0;
          core.reconfigure(o, now);
          break;
        default: {
          const bool may = left() >= 1;
          RC_ASSERT(core.try_reserve(now) == may);
          (may ? granted : exhausted) += 1;
          if (!may) break;
          drawn.push_back({now, part_of(now, o.ttl)});
          // Whatever a part is: counted to the nanosecond.
          const auto young = [&](hf::time_point t) { return t > now - o.ttl; };
          const auto paid = static_cast<double>(std::ranges::count_if(calls, young));
          const auto spent = static_cast<double>(
              std::ranges::count_if(drawn, [&](const draw& d) { return young(d.at); }));
          RC_ASSERT(spent <= ratio * paid + floor());
        }
      }
      if (s.b % 4 != 0) continue;  // to look is to count anew
      const hf::retry_budget_snapshot is = core.snapshot(now);
      RC_ASSERT(is.mode == hf::budget_mode::ratio);
      RC_ASSERT(is.calls_in_window == calls_known());
      RC_ASSERT(is.reserved_in_window == drawn_known());
      RC_ASSERT(is.available == left());
      RC_ASSERT(is.granted == granted);
      RC_ASSERT(is.released == released);
      RC_ASSERT(is.exhausted == exhausted);
      RC_ASSERT(is.tokens == 0.0);
    }
  });
  CHECK(held);
}

TEST_CASE("a budget of tokens is spent above half", "[budget][property]") {
  const bool held = test::holds("tokens", {.count = 1500, .size = 200}, [] {
    hf::retry_budget_options o;
    o.mode = hf::budget_mode::tokens;
    o.max_tokens = test::number(1, 12);
    o.token_ratio = test::number(0, 8) / 4.0;
    hf::detail::retry_budget_core core(o);
    // Quarters, so that nothing is rounded.
    std::int64_t most = 4 * o.max_tokens;
    std::int64_t tokens = most;
    std::uint64_t granted = 0;
    std::uint64_t released = 0;
    std::uint64_t exhausted = 0;
    for (const step& s : test::any_steps()) {
      switch (s.what % 8) {
        case 0:
        case 1:
        case 2: {
          const bool may = 2 * (tokens - 4) > most;
          RC_ASSERT(core.try_reserve(start) == may);
          (may ? granted : exhausted) += 1;
          if (may) tokens -= 4;
          break;
        }
        case 3:
          core.release(start, start);
          tokens = std::min(tokens + 4, most);
          ++released;
          break;
        case 4:
        case 5:
          core.on_success();
          tokens = std::min(tokens + static_cast<std::int64_t>(o.token_ratio * 4), most);
          break;
        case 6:
          core.on_failure();
          tokens = std::max<std::int64_t>(tokens - 4, 0);
          break;
        default:
          core.on_call(start + hf::duration(s.a));
          if (s.a % 10 != 0) break;
          o.max_tokens = 1 + s.b % 12;
          o.token_ratio = s.b % 8 / 4.0;
          core.reconfigure(o, start);
          tokens = std::clamp<std::int64_t>(4 * o.max_tokens - (most - tokens), 0,
                                            4 * o.max_tokens);
          most = 4 * o.max_tokens;
      }
      const hf::retry_budget_snapshot is = core.snapshot(start);
      std::uint64_t available = 0;
      for (std::int64_t t = tokens; 2 * (t - 4) > most; t -= 4) ++available;
      RC_ASSERT(is.tokens == static_cast<double>(tokens) / 4);
      RC_ASSERT(is.available == available);
      RC_ASSERT(is.granted == granted);
      RC_ASSERT(is.released == released);
      RC_ASSERT(is.exhausted == exhausted);
      RC_ASSERT(is.calls_in_window + is.reserved_in_window == 0u);
    }
  });
  CHECK(held);
}

TEST_CASE("a throttle turns away as its rule says of the calls of its window",
          "[throttle][property]") {
  const bool held = test::holds("throttle", {.count = 1500, .size = 200}, [] {
    hf::throttle_options o;
    o.multiplier = test::number(4, 12) / 4.0;
    o.window = hf::duration(32'000) * test::number(32, 3200);
    o.min_per_second = test::number(0, 8) / std::chrono::duration<double>(o.window).count();
    o.max_rejection = test::number(0, 10) / 10.0;
    hf::detail::throttle_core core(o);
    struct event {
      std::int64_t part;
      enum { asked_for, accepted, unsaid } what;
    };
    std::vector<event> all;
    std::int64_t part = part_of(start, o.window) - 1000;  // the last that was begun
    hf::time_point now = start;
    unsigned running = 0;
    bool throttling = false;
    std::uint64_t rejected = 0;
    const auto count = [&](auto what) {
      return static_cast<double>(std::ranges::count_if(
          all, [&](const event& e) { return e.what == what && e.part > part - 32; }));
    };
    const auto wishes = [&] {
      return std::max(count(event::asked_for) - count(event::unsaid), 0.0);
    };
    const auto share = [&] {
      if (wishes() < o.min_per_second * std::chrono::duration<double>(o.window).count()) return 0.0;
      const double rule = (wishes() - o.multiplier * count(event::accepted)) / (wishes() + 1);
      return std::clamp(rule, 0.0, o.max_rejection);
    };
    const auto judge = [&] {
      throttling = share() > 0;
      return share();
    };
    for (const step& s : test::any_steps()) {
      switch (s.what % 8) {
        case 0: pass(now, o.window, s); break;
        case 1:
        case 2:
        case 3: {
          part = std::max(part, part_of(now, o.window));
          const double turned_away = throttling ? judge() : 0.0;
          // Shares of a thousandth that no ratio of so few calls is near to.
          const auto random = static_cast<std::uint64_t>((s.a + 0.4321) / 1000 * 0x1p64);
          const bool may = turned_away == 0.0 || (s.a + 0.4321) / 1000 >= turned_away;
          bool asked = false;
          const bool is = core.try_enter(now, [&] { return asked = true, random; });
          RC_ASSERT(asked == (turned_away != 0.0));
          RC_ASSERT(is == may);
          all.push_back({part, event::asked_for});
          rejected += !may;
          running += may;
          break;
        }
        case 7:
          if (s.a % 10 == 0) {
            o.multiplier = 1 + s.b % 8 / 4.0;
            o.max_rejection = s.b % 11 / 10.0;
            core.reconfigure(o, now);
            part = std::max(part, part_of(now, o.window));
            judge();
          }
          break;
        default: {
          if (running == 0) break;
          --running;
          const verdict v = *std::next(
              std::begin({verdict::success, verdict::slow, verdict::request_fault, verdict::neutral,
                          verdict::failure, verdict::throttled, verdict::overloaded,
                          verdict::failure, verdict::overloaded}),
              s.a % 9);
          core.leave(v);
          if (s.a % 9 < 3) all.push_back({part, event::accepted});
          if (s.a % 9 == 3) all.push_back({part, event::unsaid});
          if (s.a % 9 > 3) judge();
        }
      }
      RC_ASSERT(core.rejected() == rejected);
      RC_ASSERT(std::abs(core.rejection() - share()) < 1e-12);
      if (s.b % 4 != 0) continue;  // to look is to go on to the part of this moment
      const hf::throttle_snapshot is = core.snapshot(now);
      part = std::max(part, part_of(now, o.window));
      RC_ASSERT(is.requests == static_cast<std::uint64_t>(wishes()));
      RC_ASSERT(is.accepts == static_cast<std::uint64_t>(count(event::accepted)));
      RC_ASSERT(std::abs(is.rejection - share()) < 1e-12);
      RC_ASSERT(is.rejected == rejected);
    }
  });
  CHECK(held);
}

TEST_CASE("a shedder judges each window, and moves by the share that it says",
          "[load_shedder][property]") {
  const bool held = test::holds("shedder", {.count = 400, .size = 250}, [] {
    using core_type = hf::detail::load_shedder_core;
    constexpr unsigned cohorts = core_type::cohorts;
    hf::load_shedder_options o;
    o.threshold = hf::duration(1024 * 1000) * test::number(1, 4);
    o.window = hf::duration(1ms) * test::number(1, 1000);
    o.window_calls = test::number(1, 60);
    o.minimum_calls = test::number(0, 20);
    o.decrease = test::number(1, 20) / 20.0;
    o.increase = test::number(1, 20) / 20.0;
    const bool at_threshold = test::maybe(0.2);  // which is not above it
    core_type core(o);
    hf::time_point now = start;
    std::optional<hf::time_point> window_ends;
    unsigned cursor = core_type::levels;
    std::map<unsigned, std::uint64_t> arrived;  // by level
    std::vector<hf::duration> samples;
    hf::load_shedder_snapshot should{};
    should.admitted = 1.0;
    const auto arrivals_below = [&](unsigned level) {
      std::uint64_t sum = 0;
      for (const auto& [l, n] : arrived) sum += l < level ? n : 0;
      return sum;
    };
    const auto judge = [&] {
      const bool first = !window_ends;
      window_ends = now + o.window;
      if (first) return;
      hf::duration sum{0};
      for (const hf::duration d : samples) sum += d;
      should.mean = samples.empty() ? 0ns : sum / static_cast<std::int64_t>(samples.size());
      should.overloaded =
          samples.size() >= std::max(o.minimum_calls, 1u) && should.mean > o.threshold;
      ++should.windows;
      should.overloaded_windows += should.overloaded;
      samples.clear();
      const auto all = static_cast<double>(arrivals_below(core_type::levels));
      const auto passed = static_cast<double>(arrivals_below(cursor));
      if (should.overloaded) {
        // Down to the highest level that is low enough, or to the first class.
        const double most = passed * (1 - o.decrease);
        while (cursor > cohorts && static_cast<double>(arrivals_below(cursor)) > most) --cursor;
      } else {
        // Up to the last one that is not too high; over one that somebody asks for in any case.
        const double most = passed + all * o.increase;
        const auto next = arrived.lower_bound(cursor);
        unsigned up = next == arrived.end() ? core_type::levels : next->first + 1;
        while (up < core_type::levels &&
               (!arrived.contains(up) || static_cast<double>(arrivals_below(up + 1)) <= most)) {
          ++up;
        }
        cursor = up;
      }
      should.admitted = all == 0 ? 1.0 : static_cast<double>(arrivals_below(cursor)) / all;
      arrived.clear();
    };
    const auto over = [&] { return !window_ends || now >= *window_ends; };
    for (const step& s : test::any_steps()) {
      if (s.what % 5 == 0) now += s.b % 3 == 0 ? o.window * (s.a % 4) / 3 : hf::duration(s.a);
      if (s.what % 60 == 1) {
        o.threshold = hf::duration(1024 * 1000) * (1 + s.a % 4);
        o.decrease = (1 + s.b % 20) / 20.0;
        o.minimum_calls = s.a % 20;
        o.window_calls = 1 + s.b % 60;
        core.reconfigure(o);
      }
      const auto rank = static_cast<hf::priority>(s.a % 6);
      const unsigned level = core.level_of(rank, s.a % 50);
      RC_ASSERT(level / cohorts == std::min(s.a % 6, 4u));
      RC_ASSERT(level == core.level_of(rank, s.a % 50));
      const bool may = level < cursor;
      RC_ASSERT(core.admit(level) == may);
      ++arrived[level];
      if (!may) {
        core.count_shed(level, now);
        ++should.shed_by_priority[level / cohorts];
        ++should.shed;
        if (over()) judge();
      } else {
        const bool away = s.what % 11 == 2;
        const hf::duration d =
            at_threshold ? o.threshold : hf::duration(1024 * 10) * (s.b % 500);
        away ? core.add_turned_away(now) : core.add_sample(d, now);
        samples.push_back(away ? o.threshold * 10 : d);
        if (over() || samples.size() >= o.window_calls) judge();
      }
      if (s.what % 13 == 3) {
        core.count_over_share();
        ++should.shed_over_share;
        ++should.shed;
      }
      const hf::load_shedder_snapshot is = core.snapshot();
      RC_ASSERT(core.cursor() == cursor);
      RC_ASSERT(is.overloaded == should.overloaded);
      RC_ASSERT(is.mean == should.mean);
      RC_ASSERT(is.admitted == should.admitted);
      RC_ASSERT(is.windows == should.windows);
      RC_ASSERT(is.overloaded_windows == should.overloaded_windows);
      RC_ASSERT((is.shed_by_priority == should.shed_by_priority));
      RC_ASSERT(is.shed_over_share == should.shed_over_share);
      RC_ASSERT(is.shed == should.shed);
      RC_ASSERT(is.in_flight == 0u);
    }
  });
  CHECK(held);
}

TEST_CASE("a tenant holds at most so many times what is left", "[load_shedder][property]") {
  const bool held = test::holds("shares", few, [] {
    using shares_type = hf::detail::tenant_shares;
    shares_type shares;
    unsigned capacity = test::number(0, 20);
    const unsigned burst = test::number(1, 4);
    const auto tenant = [](unsigned n) { return (std::uint64_t{n % 8} + 1) << 32 | 5; };
    std::map<std::uint64_t, unsigned> holds;
    std::vector<std::pair<std::uint64_t, shares_type::place>> out;
    for (const step& s : test::any_steps()) {
      const std::uint64_t who = tenant(s.a);
      const auto all = static_cast<unsigned>(out.size());
      if (s.what % 40 == 0) {
        capacity = s.b % 20;
      } else if (s.what % 5 == 0) {
        out.emplace_back(0, shares.take_for_nobody());
      } else if (s.what % 5 < 3 || out.empty()) {
        const auto place = shares.take(who, capacity, burst);
        const bool may = all < capacity && holds[who] < (capacity - all) * burst;
        RC_ASSERT((place != shares_type::none) == may);
        if (!may) continue;
        out.emplace_back(who, place);
        ++holds[who];
      } else {
        const auto [whose, place] = test::take_out(out, s.b % out.size());
        shares.give_back(place);
        shares.give_back(shares_type::none);
        if (whose != 0) --holds[whose];
      }
      RC_ASSERT(shares.total() == out.size());
      for (const auto& [one, n] : holds) RC_ASSERT(shares.held(one) == n);
    }
  });
  CHECK(held);
}
