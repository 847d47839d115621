// SPDX-License-Identifier: BSL-1.0
// A rate limiter against a token bucket, and a log, that are counted without rounding.
#include <algorithm>
#include <catch2/catch_all.hpp>
#include <holdfast/detail/limiter_core.hpp>
#include <optional>
#include <vector>

#include "../support/property.hpp"

namespace {

namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::limiter_algorithm;
using hf::detail::booking;
using hf::detail::limiter_core;
using hf::detail::limiter_plan;
using options = hf::rate_limiter_options;

__extension__ typedef __int128 wide;

constexpr hf::time_point start{1h};

struct admission {
  hf::time_point at;
  std::int64_t units;  // below zero: given back
  std::size_t number = 0;
};

/// No stretch of time has more than it may, and what was given back in it does not count. `burst`
/// is what a stretch of no length may have.
void check_every_stretch(std::vector<admission> all, const options& o, std::int64_t burst) {
  const bool log = o.algorithm == limiter_algorithm::sliding_window;
  for (std::size_t i = 0; i < all.size(); ++i) all[i].number = i;
  std::ranges::sort(all, {}, [](const admission& a) { return std::pair(a.at, a.number); });
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::int64_t sum = 0;
    for (std::size_t j = i; j < all.size(); ++j) {
      sum += all[j].units;
      wide t = (all[j].at - all[i].at).count();
      if (log) {
        if (t >= o.period.count()) break;
        RC_ASSERT(sum <= std::int64_t{o.permits});
      } else {
        if (t > 0) ++t;  // the times of bookings are rounded up to the nanosecond
        RC_ASSERT(wide{sum - burst} * o.period.count() <= t * o.permits);
      }
    }
  }
}

/// A token bucket as the time at which it is full. Time is counted in 1 / (63 * permits) ns: all
/// is a whole number, and nothing is rounded before the end.
struct exact_bucket {
  explicit exact_bucket(const options& opts) : o(opts) {}

  options o;
  hf::time_point now = start;
  wide full_at = 0;
  hf::time_point hold{};
  wide credit_until = 0;
  std::vector<std::pair<wide, wide>> holes{};  // booked, and given back
  wide stale_until = 0;

  wide scale() const { return wide{63} * o.permits; }
  wide at(hf::time_point t) const { return wide{t.time_since_epoch().count()} * scale(); }
  wide in_ns(hf::duration d) const { return wide{d.count()} * scale(); }
  wide interval() const { return wide{63} * o.period.count(); }
  wide depth() const { return interval() * o.burst; }
  wide ahead() const { return std::max<wide>(full_at - at(now), 0); }
  wide held() const { return std::max<wide>(at(hold) - at(now), 0); }
  wide credit() const { return std::max<wide>(credit_until - at(now), 0); }
  hf::duration rounded(wide t) const {
    return hf::duration(static_cast<std::int64_t>((t + scale() - 1) / scale()));
  }

  hf::duration wait_for(std::uint32_t units) const {
    return rounded(
        std::max({std::max(ahead(), held()) + units * interval() - depth(), held(), wide{0}}));
  }
  void take(std::uint32_t units) {
    full_at = at(now) + std::max(ahead(), held()) + units * interval();
  }

  /// Silence that a reconfiguration has made too long.
  void heal() {
    if (hold > now + o.max_hint + limiter_plan::slack) hold = {};
  }

  booking book(std::uint32_t units, hf::time_point latest) {
    if (units > o.burst) return {};
    heal();
    const hf::duration wait = wait_for(units);
    const wide need = units * interval();
    if (wait > 0s && held() == 0 && need > 0 && credit() >= need) {
      credit_until = at(now) + credit() - need;
      return {booking::kind::admitted, now, 0};
    }
    if (const auto end = wait > 0s && need > 0 ? hole_for(need) : std::nullopt) {
      const hf::duration until = hole_wait(*end);
      if (until > 0s && now + until > latest) return {booking::kind::refused, now + until, 0};
      cut(*end - need, *end);
      return {until > 0s ? booking::kind::later : booking::kind::admitted, now + until,
              static_cast<std::int64_t>(*end / o.permits)};
    }
    if (wait > 0s && now + wait > latest) return {booking::kind::refused, now + wait, 0};
    take(units);
    // The mark is in ticks: whole, where the interval is.
    return {wait > 0s ? booking::kind::later : booking::kind::admitted, now + wait,
            static_cast<std::int64_t>(full_at / o.permits)};
  }

  /// Where a booking between others would end.
  std::optional<wide> hole_for(wide need) const {
    for (const auto& [begin, end] : joined()) {
      const wide from = std::max(begin, at(now) + held());
      if (from + need <= end) return from + need;
    }
    return {};
  }
  hf::duration hole_wait(wide end) const {
    return rounded(std::max({end - at(now) - depth(), held(), wide{0}}));
  }
  std::vector<std::pair<wide, wide>> joined() const {
    std::vector<std::pair<wide, wide>> sorted = holes;
    std::ranges::sort(sorted);
    std::vector<std::pair<wide, wide>> all;
    for (const auto& h : sorted) {
      if (!all.empty() && all.back().second == h.first) {
        all.back().second = h.second;
      } else {
        all.push_back(h);
      }
    }
    return all;
  }
  /// What is used is no hole any more.
  void cut(wide from, wide to) {
    std::vector<std::pair<wide, wide>> left;
    for (const auto& [begin, end] : holes) {
      if (begin < from) left.emplace_back(begin, std::min(end, from));
      if (end > to) left.emplace_back(std::max(begin, to), end);
    }
    holes = left;
  }

  void cancel(std::uint32_t units, std::int64_t mark) {
    const wide end = wide{mark} * o.permits;
    const wide begin = end - units * interval();
    if (full_at == end) {
      full_at = begin;
      for (const auto& h : joined()) {
        if (h.second == full_at) {
          full_at = h.first;
          cut(h.first, h.second);
        }
      }
    } else if (end > stale_until && begin != end) {
      holes.emplace_back(begin, end);
    }
  }

  void refund(std::uint64_t units) {
    const wide value = std::min(units * interval(), depth());
    if (ahead() > depth()) {
      credit_until = at(now) + std::min(credit() + value, depth());
    } else if (value > 0) {
      if (ahead() > 0) stale_until = std::max(stale_until, full_at);
      full_at = at(now) + std::max<wide>(ahead() - value, 0);
      cut(full_at, full_at + depth());
    }
  }

  void charge(std::uint64_t units) {
    const wide most = depth() + in_ns(o.max_hint);
    if (ahead() < most) full_at = at(now) + std::min(ahead() + units * interval(), most);
  }

  void settle(std::uint64_t reserved, std::uint64_t used) {
    if (used < reserved) refund(reserved - used);
    if (used > reserved) charge(used - reserved);
  }

  void hold_for(hf::duration d) {
    const hf::duration heeded = std::min(d, o.max_hint);
    if (heeded > 0s) hold = std::max(hold, now + heeded);
  }

  void hint(std::uint64_t remaining, hf::duration reset) {
    if (o.max_hint == 0s) return;
    if (remaining == 0) return hold_for(reset);
    full_at = at(now) +
              std::max(ahead(), depth() - std::min(remaining * interval(), depth()));
    credit_until = at(now);
  }

  /// Permits in store stay, or those that are owed.
  void reconfigure(const options& to) {
    const wide ahead_then = ahead();
    const wide depth_then = depth();
    const wide interval_then = interval();
    holes.clear();
    stale_until = std::max(stale_until, at(now) + ahead_then) / o.permits * to.permits;
    o = to;
    // The same unit of permits; the test's periods divide it.
    const wide in_store = (depth_then - ahead_then) * interval() / interval_then;
    full_at = at(now) + std::max<wide>(depth() - in_store, 0);
    credit_until = at(now);
  }

  std::uint64_t available() const {
    if (held() > 0) return 0;
    return static_cast<std::uint64_t>(std::max<wide>(depth() - ahead(), 0) / interval());
  }
  hf::duration next_free() const {
    const auto end = wait_for(1) > 0s ? hole_for(interval()) : std::nullopt;
    return end ? hole_wait(*end) : wait_for(1);
  }
};

struct op {
  enum class kind {
    pass_time,
    take,
    book,
    book_and_wait,
    wait_over,
    cancel,
    settle,
    hold,
    hint,
    reconfigure,
  };
  kind what = kind::pass_time;
  unsigned a = 0;
  unsigned b = 0;
};

void showValue(const op& o, std::ostream& os) {
  constexpr const char* names[] = {"pass_time", "take",   "book", "book_and_wait", "wait_over",
                                   "cancel",    "settle", "hold", "hint",          "reconfigure"};
  os << names[static_cast<int>(o.what)] << ' ' << o.a << ' ' << o.b;
}

rc::Gen<std::vector<op>> any_ops(std::vector<std::pair<std::size_t, op::kind>> kinds) {
  const auto one = rc::gen::exec([kinds] {
    std::vector<op::kind> all;
    for (const auto& [weight, k] : kinds) all.insert(all.end(), weight, k);
    return op{*rc::gen::elementOf(all), *test::below(0u, 1000u),
              *test::below(0u, 1000u)};
  });
  return rc::gen::container<std::vector<op>>(one);
}

struct place {
  std::uint32_t units;
  booking b;
  bool waits;
};

void same(const booking& a, const booking& b) {
  RC_ASSERT(a.what == b.what);
  RC_ASSERT(a.at == b.at);
  RC_ASSERT(a.mark == b.mark);
}

/// What is the same for both algorithms: the bookings made, and what may be done with them.
struct run {
  explicit run(const options& o) : core(o), opts(core.plan().options) {}

  limiter_core core;
  options opts;
  hf::time_point now = start;
  std::vector<place> places;
  std::vector<admission> admitted;
  unsigned waiting = 0;
  bool reconfigured = false;
  bool gave_back = false;

  hf::duration interval() const { return opts.period / opts.permits; }

  /// Often to the very time at which something happens, or one nanosecond off.
  hf::duration step(const op& x) const {
    const std::int64_t i = std::max<std::int64_t>(interval().count(), 1);
    hf::duration d{0};
    switch (x.a % 8) {
      case 0: d = core.snapshot(now).next_free; break;
      case 1: d = opts.period * (x.b % 5) / 4; break;
      case 2:
        if (!places.empty()) d = places[x.b % places.size()].b.at - now;
        break;
      case 3: d = hf::duration(i * (x.b % 30)); break;
      case 4: d = core.held_until() - now; break;
      default: d = hf::duration(i * x.b / 300); break;
    }
    if (x.b % 3 == 0) d += hf::duration(x.b % 2 == 0 ? 1 : -1);
    return std::clamp<hf::duration>(d, 0s, 24h);
  }
  std::uint32_t units(const op& x) const {
    return x.b % 20 == 0 ? opts.burst + 1 : x.a % 3 == 0 ? x.b % (opts.burst + 1) : 1 + x.b % 2;
  }
  hf::time_point deadline(const op& x) const {
    if (x.a % 3 != 0) return hf::never;
    const hf::time_point due = now + core.snapshot(now).next_free;
    return x.a % 2 == 0 ? due : due + hf::duration(x.b % 2 + 1);
  }

  void note(std::uint32_t units, const booking& b, bool waits) {
    if (b.what == booking::kind::refused) return;
    places.push_back({units, b, waits && b.what == booking::kind::later});
    admitted.push_back({b.at, units});
    waiting += places.back().waits;
    RC_ASSERT((b.what == booking::kind::later) == (b.at > now));
    RC_ASSERT(b.at >= now);
  }
  std::optional<place> take_place(unsigned which, bool due) {
    std::vector<std::size_t> fit;
    for (std::size_t i = 0; i < places.size(); ++i) {
      if ((places[i].b.at <= now) == due) fit.push_back(i);
    }
    if (fit.empty()) return {};
    const place p = test::take_out(places, fit[which % fit.size()]);
    if (p.waits) {
      core.wait_over();
      --waiting;
    }
    return p;
  }
  void forget(const place& p) {
    const auto i = std::ranges::find_if(admitted, [&](const admission& a) {
      return a.at == p.b.at && a.units == std::int64_t{p.units};
    });
    admitted.erase(i);
  }

  options changed(const op& x) const {
    options to = opts;
    if (x.a % 2 == 0 && opts.permits < 50) to.permits = opts.permits * 2;
    if (x.a % 2 != 0 && opts.permits % 2 == 0) to.permits = opts.permits / 2;
    to.burst = opts.algorithm == limiter_algorithm::gcra ? 1 + x.b % 12 : 0;
    if (opts.algorithm == limiter_algorithm::gcra && x.a % 5 == 0) to.max_hint /= 4;
    if (x.a % 7 == 0) to.max_waiting = x.b % 4;
    return to;
  }
};

void compare(const run& r, const exact_bucket& exact) {
  const hf::limiter_snapshot s = r.core.snapshot(r.now);
  RC_ASSERT(s.available == exact.available());
  RC_ASSERT(s.next_free == exact.next_free());
  RC_ASSERT(s.held_for == std::max(exact.hold - exact.now, hf::duration::zero()));
  RC_ASSERT(s.waiting == r.waiting);
  RC_ASSERT(r.core.held_until() == exact.hold);
}

booking book(exact_bucket& exact, std::uint32_t units, hf::time_point deadline) {
  const hf::time_point last = deadline == hf::never ? deadline : deadline - 1ns;
  return exact.book(units, std::min(exact.now + exact.o.max_wait, last));
}

/// A conversion is exact to a tick or two: takes over which. False where that cannot be seen.
bool align(run& r, exact_bucket& exact) {
  const booking seen = r.core.book(1, r.now, hf::never);
  exact.heal();
  const hf::duration wait = exact.wait_for(1);
  RC_ASSERT(seen.at <= r.now + wait + 1ns);
  RC_ASSERT(seen.at >= r.now + wait - 1ns);
  if (seen.what == booking::kind::refused) return false;
  exact.book(1, hf::never);
  const wide off = exact.full_at - wide{seen.mark} * exact.o.permits;
  RC_ASSERT(off <= 2 * exact.o.permits);
  RC_ASSERT(off >= -2 * wide{exact.o.permits});
  exact.full_at -= off;
  r.core.cancel(1, seen.mark);
  exact.cancel(1, seen.mark);
  return true;
}

/// False where what comes cannot be told.
bool bucket_step(run& r, exact_bucket& exact, const op& x) {
  const std::uint32_t units = r.units(x);
  switch (x.what) {
    case op::kind::pass_time:
      r.now += r.step(x);
      exact.now = r.now;
      break;
    case op::kind::take: {
      const bool may = units <= r.opts.burst && r.now >= exact.hold &&
                       exact.wait_for(units) == 0s;
      RC_ASSERT(r.core.take(r.core.plan(), units, r.now, 0s) == may);
      if (!may) break;
      exact.take(units);
      r.admitted.push_back({r.now, units});
      break;
    }
    case op::kind::book: {
      const booking b = r.core.book(units, r.now, r.deadline(x));
      same(b, book(exact, units, r.deadline(x)));
      r.note(units, b, false);
      break;
    }
    case op::kind::book_and_wait: {
      const hf::time_point deadline = r.deadline(x);
      booking b = book(exact, units, r.now);
      if (b.what != booking::kind::admitted && r.opts.max_wait > 0s && b.at < deadline &&
          r.waiting < r.opts.max_waiting) {
        b = book(exact, units, deadline);
      }
      same(r.core.book_and_wait(units, r.now, deadline), b);
      r.note(units, b, true);
      break;
    }
    case op::kind::wait_over:
      if (const auto p = r.take_place(x.a, true)) r.places.push_back({p->units, p->b, false});
      break;
    case op::kind::cancel:
      if (const auto p = r.take_place(x.a, false)) {
        r.core.cancel(p->units, p->b.mark);
        exact.cancel(p->units, p->b.mark);
        r.forget(*p);
      }
      break;
    case op::kind::settle:
      if (const auto p = r.take_place(x.a, true)) {
        const std::uint64_t used = x.b % 3 == 0 ? 0 : x.b % (2 * p->units + 1);
        r.core.settle(p->units, p->b.mark, used, r.now);
        exact.settle(p->units, used);
        if (used < p->units) {
          r.admitted.push_back({r.now, -static_cast<std::int64_t>(p->units - used)});
          r.gave_back = true;
        }
      }
      break;
    case op::kind::hold: {
      const hf::duration d = r.opts.max_hint * (x.b % 6) / 4;
      r.core.hold_for(d, r.now);
      exact.hold_for(d);
      break;
    }
    case op::kind::hint: {
      const unsigned remaining = x.b % (r.opts.burst + 2);
      r.core.hint(remaining, r.interval() * 3, r.now);
      exact.hint(remaining, r.interval() * 3);
      break;
    }
    case op::kind::reconfigure: {
      const options to = r.changed(x);
      r.core.reconfigure(to, r.now);
      exact.reconfigure(to);
      r.opts = r.core.plan().options;
      r.reconfigured = true;
      return align(r, exact);
    }
  }
  return true;
}

/// The rates whose interval is a whole number of ticks, so that nothing at all is rounded, and
/// stays so when it is doubled or halved.
options exact_options() {
  options o;
  o.permits = *rc::gen::element(1u, 2u, 3u, 4u, 6u, 7u, 9u, 12u, 20u, 36u, 63u, 100u);
  o.period = *rc::gen::element<hf::duration>(8ms, 1s, 60s, 1h);
  o.burst = test::number(1, 12);
  o.max_wait = o.period * test::number(0, 8) / 4;
  o.max_waiting = test::number(0, 6);
  o.max_hint = o.period * test::number(0, 8) / 2;
  return o;
}

using k = op::kind;

}  // namespace

TEST_CASE("a schedule is a token bucket without rounding", "[limiter][property]") {
  const bool held = test::holds("schedule", {.count = 3000, .size = 100}, [] {
    run r(exact_options());
    exact_bucket exact(r.opts);
    for (const op& x : *any_ops({{12, k::pass_time},
                                 {6, k::take},
                                 {8, k::book},
                                 {8, k::book_and_wait},
                                 {2, k::wait_over},
                                 {4, k::cancel},
                                 {6, k::settle},
                                 {2, k::hold},
                                 {2, k::hint},
                                 {1, k::reconfigure}})) {
      if (!bucket_step(r, exact, x)) return;
      compare(r, exact);
    }
    if (r.reconfigured) return;
    // What is given back while others wait is a credit on top of what is due to them.
    const bool credit = r.gave_back && r.opts.max_wait > 0s;
    check_every_stretch(r.admitted, r.opts, r.opts.burst * (credit ? 2 : 1));
  });
  CHECK(held);
}

TEST_CASE("whatever the rate and however coarse the clock, nobody is early, and nobody late but by "
          "what the rounding and the clock are worth",
          "[limiter][property]") {
  const bool held = test::holds("any rate", {.count = 3000, .size = 100}, [] {
    options o;
    o.permits = *rc::gen::weightedOneOf<std::uint32_t>(
        {{2, test::below(1u, 2000u)}, {1, test::below(1u, 999'999u)}});
    o.period = hf::duration(*rc::gen::weightedOneOf<std::int64_t>(
        {{2, rc::gen::element<std::int64_t>(1'000'000'000)},
         {1, test::below<std::int64_t>(1'000'000, 1'000'000'000'000)}}));
    o.burst = *rc::gen::oneOf(test::below(1u, 20u), test::below(16u, 200u));
    o.max_wait = o.period * test::number(0, 4) / 2;
    const hf::duration behind = *rc::gen::element<hf::duration>(0s, 1ms, 4ms, 10ms);
    run r(o);
    exact_bucket exact(r.opts);
    std::uint64_t booked = 0;
    std::int64_t last_mark = 0;
    for (const op& x :
         *any_ops({{8, k::pass_time},
                   {8, k::take},
                   {8, k::book},
                   {2, k::cancel},
                   {3, k::settle},
                   {1, k::hold}})) {
      const std::uint32_t units = r.units(x);
      const hf::duration rounding(static_cast<std::int64_t>(booked / 63) + 1);
      if (x.what == k::pass_time) {
        hf::duration d = r.step(x);
        if (x.a % 10 == 9) d = std::min<hf::duration>(behind / (1 + x.b % 3), d);
        r.now = exact.now = r.now + d;
      } else if (x.what == k::take) {
        const hf::duration since_tick =
            behind == 0s ? 0ns : r.now.time_since_epoch() % behind;
        for (unsigned i = 0; i <= x.a % 40; ++i) {
          if (!r.core.take(r.core.plan(), units, r.now - since_tick, behind)) break;
          RC_ASSERT(exact.wait_for(units) == 0s);
          exact.take(units);
          r.places.push_back({units, {booking::kind::admitted, r.now, 0}, false});
          r.admitted.push_back({r.now, units});
          booked += units;
          last_mark = 0;
        }
      } else if (x.what == k::book) {
        const booking b = r.core.book(units, r.now, hf::never);
        RC_ASSERT((units > o.burst) == (b.at == hf::never));
        if (units > o.burst) continue;
        const hf::duration wait = exact.wait_for(units);
        RC_ASSERT(b.at >= r.now + wait);
        if (!r.gave_back) RC_ASSERT(b.at <= r.now + wait + rounding + behind);
        RC_ASSERT((b.what == booking::kind::refused) == (b.at > r.now + o.max_wait));
        r.note(units, b, false);
        if (b.what == booking::kind::refused) continue;
        exact.take(units);
        booked += units;
        last_mark = b.mark;
      } else if (x.what == k::hold) {
        const hf::duration d = o.period * (x.b % 4) / 8;
        r.core.hold_for(d, r.now);
        exact.hold_for(d);
      } else if (x.what == k::settle) {
        // Where others wait, it is a matter of nanoseconds whether it goes to the store.
        if (o.max_wait > 0s || r.places.empty()) continue;
        const place p = test::take_out(r.places, x.a % r.places.size());
        r.core.settle(p.units, p.b.mark, 0, r.now);
        exact.refund(p.units);
        r.admitted.push_back({r.now, -static_cast<std::int64_t>(p.units)});
        r.gave_back = true;
        last_mark = 0;
      } else if (!r.places.empty() && r.places.back().b.at > r.now &&
                 r.places.back().b.mark == last_mark) {
        const place p = test::take_out(r.places, r.places.size() - 1);
        r.core.cancel(p.units, p.b.mark);
        exact.full_at -= p.units * exact.interval();
        r.forget(p);
        last_mark = 0;
      }
    }
    check_every_stretch(r.admitted, r.opts, r.opts.burst);
  });
  CHECK(held);
}

namespace {

/// A log that keeps every admission.
struct exact_log {
  options o;
  hf::duration late{0};  // by how much the library's may be
  std::vector<admission> all{};

  hf::time_point earliest(std::uint64_t units, hf::time_point when) const {
    if (!all.empty()) when = std::max(when, all.back().at);
    for (const admission& a : all) {
      std::uint64_t sum = units;
      for (const admission& b : all) {
        if (b.at + o.period > when) sum += static_cast<std::uint64_t>(b.units);
      }
      if (sum <= o.permits) break;
      when = std::max(when, a.at + o.period);
    }
    return when;
  }
  std::uint64_t available(hf::time_point now, hf::duration longer) const {
    std::uint64_t sum = 0;
    for (const admission& a : all) {
      if (a.at + o.period + longer > now) sum += static_cast<std::uint64_t>(a.units);
    }
    return sum < o.permits ? o.permits - sum : 0;
  }
  void add(std::uint64_t units, hf::time_point now) {
    if (units == 0) return;
    if (!all.empty()) now = std::max(now, all.back().at);
    all.push_back({now, static_cast<std::int64_t>(std::min<std::uint64_t>(units, o.permits))});
  }
  void remove(std::uint64_t units, hf::time_point at, hf::time_point now) {
    if (at + o.period <= now) return;
    for (std::size_t i = all.size(); i-- > 0;) {
      if (all[i].at != at) continue;
      const auto some = std::min(all[i].units, static_cast<std::int64_t>(units));
      all[i].units -= some;
      units -= static_cast<std::uint64_t>(some);
    }
    while (!all.empty() && all.back().units == 0) all.pop_back();
  }
};

void log_step(run& r, exact_log& exact, const op& x) {
  const std::uint32_t units = x.b % 20 == 0 ? r.opts.permits + 1
                              : x.a % 3 == 0 ? x.b % (r.opts.permits + 1)
                                             : 1 + x.b % 2;
  const auto check = [&](const booking& b, hf::time_point latest) {
    if (units > r.opts.permits) {
      RC_ASSERT(b.what == booking::kind::refused);
      RC_ASSERT(b.at == hf::never);
      return;
    }
    const hf::time_point due = exact.earliest(units, std::max(r.now, r.core.held_until()));
    RC_ASSERT(b.at >= due);
    RC_ASSERT(b.at <= due + exact.late);
    RC_ASSERT((b.what == booking::kind::refused) == (b.at > r.now && b.at > latest));
    if (b.what == booking::kind::refused) return;
    RC_ASSERT(b.mark == b.at.time_since_epoch().count());
    exact.add(units, b.at);
    r.admitted.push_back({b.at, units});
  };
  const auto latest = [&](hf::time_point deadline) {
    return std::min(r.now + r.opts.max_wait, deadline == hf::never ? deadline : deadline - 1ns);
  };
  const auto take_back = [&](const place& p, std::uint64_t some) {
    exact.remove(some, p.b.at, r.now);
    r.forget(p);
    if (some < p.units) {
      r.admitted.push_back({p.b.at, static_cast<std::int64_t>(p.units - some)});
    }
  };
  const hf::time_point deadline = r.deadline(x);
  switch (x.what) {
    case op::kind::pass_time: r.now += r.step(x); break;
    case op::kind::take:
      RC_ASSERT(!r.core.take(r.core.plan(), std::max(units, 1u), r.now, 0s));
      break;
    case op::kind::book: {
      const booking b = r.core.book(units, r.now, deadline);
      check(b, latest(deadline));
      if (b.what != booking::kind::refused) r.places.push_back({units, b, false});
      break;
    }
    case op::kind::book_and_wait: {
      const booking b = r.core.book_and_wait(units, r.now, deadline);
      const bool places = r.waiting < r.opts.max_waiting;
      check(b, places ? latest(deadline) : r.now);
      if (b.what == booking::kind::refused) break;
      r.places.push_back({units, b, b.what == booking::kind::later});
      r.waiting += r.places.back().waits;
      break;
    }
    case op::kind::wait_over:
      if (const auto p = r.take_place(x.a, true)) r.places.push_back({p->units, p->b, false});
      break;
    case op::kind::cancel:
      if (const auto p = r.take_place(x.a, false)) {
        r.core.cancel(p->units, p->b.mark);
        take_back(*p, p->units);
      }
      break;
    case op::kind::settle:
      if (const auto p = r.take_place(x.a, true)) {
        const std::uint64_t used = x.b % 3 == 0 ? 0 : x.b % (2 * p->units + 1);
        r.core.settle(p->units, p->b.mark, used, r.now);
        if (used < p->units) take_back(*p, p->units - used);
        if (used > p->units) exact.add(used - p->units, r.now);
      }
      break;
    case op::kind::hold: {
      const hf::duration d = r.opts.max_hint * (x.b % 6) / 4;
      const hf::time_point before = r.core.held_until();
      r.core.hold_for(d, r.now);
      const hf::duration heeded = std::min(d, r.opts.max_hint);
      RC_ASSERT(r.core.held_until() ==
                (heeded > 0s ? std::max(before, r.now + heeded) : before));
      break;
    }
    case op::kind::hint: {
      if (r.core.held_until() > r.now) break;
      const unsigned remaining = 1 + x.b % (r.opts.permits + 1);
      const std::uint64_t left = r.core.snapshot(r.now).available;
      r.core.hint(remaining, r.interval() * 3, r.now);
      if (left > remaining && r.opts.max_hint > 0s) exact.add(left - remaining, r.now);
      break;
    }
    case op::kind::reconfigure: {
      r.core.reconfigure(r.changed(x), r.now);
      r.opts = exact.o = r.core.plan().options;
      exact.late = 2 * (exact.late + 1ns);  // the entries themselves are logged anew
      exact.late = std::min<hf::duration>(exact.late, r.opts.period);
      r.places.clear();
      r.reconfigured = true;
      for (; r.waiting > 0; --r.waiting) r.core.wait_over();
      break;
    }
  }
}

void compare(const run& r, const exact_log& exact) {
  const hf::limiter_snapshot s = r.core.snapshot(r.now);
  const hf::duration held = std::max(r.core.held_until() - r.now, hf::duration::zero());
  RC_ASSERT(s.held_for == held);
  RC_ASSERT(s.waiting == r.waiting);
  RC_ASSERT(s.available <= exact.available(r.now, 0s));
  if (held > 0s) {
    RC_ASSERT(s.available == 0u);
  } else {
    RC_ASSERT(s.available >= exact.available(r.now, exact.late));
  }
  const hf::duration due = exact.earliest(1, r.now) - r.now;
  RC_ASSERT(s.next_free >= std::max(due, held));
  RC_ASSERT(s.next_free <= std::max(due + exact.late, held));
}

}  // namespace

TEST_CASE("a sliding window is the list of its admissions, to a 32nd of its length",
          "[limiter][property]") {
  const bool held = test::holds("log", {.count = 3000, .size = 100}, [] {
    options o;
    o.algorithm = limiter_algorithm::sliding_window;
    o.permits = test::number(1, 12);
    o.period = *rc::gen::element<hf::duration>(100ns, 8ms, 1s, 1h);
    o.max_wait = o.period * test::number(0, 12) / 4;
    o.max_waiting = test::number(0, 6);
    o.max_hint = o.period * test::number(0, 8) / 2;
    run r(o);
    r.opts.burst = o.permits;
    exact_log exact{r.opts, std::max<hf::duration>(o.period / 32, 1ns) - 1ns};
    for (const op& x : *any_ops({{12, k::pass_time},
                                 {1, k::take},
                                 {8, k::book},
                                 {8, k::book_and_wait},
                                 {2, k::wait_over},
                                 {4, k::cancel},
                                 {6, k::settle},
                                 {2, k::hold},
                                 {2, k::hint},
                                 {1, k::reconfigure}})) {
      log_step(r, exact, x);
      compare(r, exact);
    }
    if (!r.reconfigured) check_every_stretch(r.admitted, r.opts, 0);
  });
  CHECK(held);
}
