// SPDX-License-Identifier: BSL-1.0
#include <catch2/catch_all.hpp>
#include <holdfast/time/timer_wheel.hpp>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "../support/seed.hpp"

namespace hf = holdfast;
using hf::timer_wheel;
using namespace std::chrono_literals;

namespace {

struct probe final : hf::timer_entry {
  void on_expiry() noexcept override {}
  void on_shutdown() noexcept override {}
  hf::time_point armed_at;
  hf::time_point due;  // the tick at which it has to expire, as a time
};

hf::time_point at(hf::duration d) { return hf::time_point(d); }

std::int64_t floor_tick(hf::time_point t) {
  return std::max<std::int64_t>(t.time_since_epoch().count(), 0) / timer_wheel::tick.count();
}

std::vector<probe*> drain(hf::timer_list& expired) {
  std::vector<probe*> out;
  while (!expired.empty()) {
    auto& e = static_cast<probe&>(expired.front());
    hf::timer_list::unlink(e);
    out.push_back(&e);
  }
  return out;
}

}  // namespace

TEST_CASE("a list takes the timers of another one, and more after them", "[timer_wheel]") {
  probe all[5];
  hf::timer_list into;
  hf::timer_list from;
  into.splice_back(from);
  CHECK(into.empty());
  into.push_back(all[0]);
  from.push_back(all[1]);
  from.push_back(all[2]);
  into.splice_back(from);
  CHECK(from.empty());
  into.push_back(all[3]);
  from.push_back(all[4]);
  CHECK(drain(into) == std::vector{&all[0], &all[1], &all[2], &all[3]});
  CHECK(drain(from) == std::vector{&all[4]});
}

TEST_CASE("nothing expires before the first tick, and the last one can be told", "[timer_wheel]") {
  timer_wheel wheel;
  probe p;
  wheel.insert(p, at(1ns));
  hf::timer_list expired;
  wheel.advance(at(0ns), expired);
  CHECK(expired.empty());
  wheel.advance(at(timer_wheel::tick), expired);
  CHECK(drain(expired) == std::vector{&p});

  const hf::time_point last = hf::time_point(hf::duration::max() - timer_wheel::tick + 1ns);
  CHECK(timer_wheel::round_up(last) == last);
  CHECK(timer_wheel::round_up(last + 1ns) == hf::never);
}

TEST_CASE("an empty wheel has nothing to do", "[timer_wheel]") {
  timer_wheel wheel;
  hf::timer_list expired;
  CHECK(wheel.size() == 0);
  CHECK_FALSE(wheel.next());
  CHECK(wheel.pop_any() == nullptr);
  wheel.advance(at(1h), expired);
  wheel.advance(at(1s), expired);  // backwards: nothing happens
  wheel.advance(hf::time_point::max(), expired);
  wheel.advance(hf::time_point::min(), expired);
  CHECK(expired.empty());
}

TEST_CASE("a timer expires at the first tick at or after its time", "[timer_wheel]") {
  const hf::duration when = GENERATE(as<hf::duration>(), 1ns, timer_wheel::tick - 1ns,
                                     timer_wheel::tick, timer_wheel::tick + 1ns, 1s, 67s, 1h, 300h,
                                     24h * 365 * 100);
  timer_wheel wheel;
  hf::timer_list expired;
  probe p;
  wheel.insert(p, at(when));
  CHECK(p.linked());
  CHECK(wheel.size() == 1);
  const hf::time_point tick = timer_wheel::round_up(at(when));
  CHECK(tick >= at(when));
  CHECK(tick < at(when) + timer_wheel::tick);
  wheel.advance(tick - 1ns, expired);
  CHECK(expired.empty());
  wheel.advance(tick, expired);
  CHECK_FALSE(expired.empty());
  CHECK(wheel.size() == 0);
  CHECK(drain(expired) == std::vector{&p});
  CHECK_FALSE(p.linked());
}

TEST_CASE("to wake at next() reaches a far timer in a few steps, and never early",
          "[timer_wheel]") {
  const hf::duration when =
      GENERATE(as<hf::duration>(), 5ms, 3s, 1h, 24h * 30, 24h * 365, 24h * 365 * 250);
  timer_wheel wheel;
  hf::timer_list expired;
  probe p;
  wheel.advance(at(12345678912345ns), expired);
  const hf::time_point deadline = at(12345678912345ns) + when;
  wheel.insert(p, deadline);
  int steps = 0;
  hf::time_point last{};
  while (expired.empty()) {
    const auto next = wheel.next();
    REQUIRE(next);
    REQUIRE(*next > last);
    last = *next;
    REQUIRE(++steps <= 9);
    wheel.advance(*next, expired);
  }
  CHECK(last >= deadline);
  CHECK(last < deadline + timer_wheel::tick);
  CHECK_FALSE(wheel.next());
}

TEST_CASE("a timer in the past expires at the next tick", "[timer_wheel]") {
  timer_wheel wheel;
  hf::timer_list expired;
  wheel.advance(at(10s), expired);
  const hf::time_point when =
      GENERATE(at(10s), at(9s), at(0ns), at(-5s), hf::time_point::min());
  probe p;
  wheel.insert(p, when);
  REQUIRE(wheel.next());
  CHECK(*wheel.next() > at(10s));
  CHECK(*wheel.next() <= at(10s) + timer_wheel::tick);
  wheel.advance(at(10s) + timer_wheel::tick, expired);
  CHECK(drain(expired) == std::vector{&p});
}

TEST_CASE("a timer at never stays until a shutdown, and wakes nobody", "[timer_wheel]") {
  timer_wheel wheel;
  hf::timer_list expired;
  probe a;
  probe b;
  wheel.insert(a, hf::never);
  wheel.insert(b, hf::never);
  CHECK(a.linked());
  CHECK(wheel.size() == 0);
  CHECK_FALSE(wheel.next());
  wheel.advance(hf::time_point::max(), expired);
  CHECK(expired.empty());
  wheel.remove(a);
  CHECK_FALSE(a.linked());
  CHECK(wheel.pop_any() == &b);
  CHECK_FALSE(b.linked());
  CHECK(wheel.pop_any() == nullptr);
}

TEST_CASE("the last times that can be told are kept", "[timer_wheel]") {
  timer_wheel wheel;
  hf::timer_list expired;
  probe a;
  probe b;
  wheel.insert(a, hf::never - 1ns);
  wheel.insert(b, hf::never - timer_wheel::tick * 2);
  wheel.advance(hf::never - timer_wheel::tick * 3, expired);
  CHECK(expired.empty());
  wheel.advance(hf::never, expired);
  CHECK(drain(expired).size() == 2);
  // Past its last tick the wheel still takes timers and gives them back.
  probe c;
  wheel.insert(c, hf::never - 1ns);
  wheel.advance(hf::never, expired);
  CHECK(drain(expired) == std::vector{&c});
}

TEST_CASE("pop_any empties the wheel", "[timer_wheel]") {
  timer_wheel wheel;
  std::vector<probe> probes(100);
  hf::duration d = 1ns;
  for (auto& p : probes) {
    wheel.insert(p, at(d));
    d = d * 3 / 2 + 1ms;
    if (d > 24h * 365) d = 1ms;
  }
  std::size_t count = 0;
  while (auto* e = wheel.pop_any()) {
    CHECK_FALSE(e->linked());
    ++count;
  }
  CHECK(count == probes.size());
  CHECK(wheel.size() == 0);
  CHECK_FALSE(wheel.next());
}

TEST_CASE("a timer is removed from a list of expired ones", "[timer_wheel]") {
  timer_wheel wheel;
  hf::timer_list expired;
  probe a;
  probe b;
  probe c;
  for (auto* p : {&a, &b, &c}) wheel.insert(*p, at(1s));
  probe later;  // of the same slot number on another level: its bit must survive
  wheel.insert(later, at(2s));
  wheel.advance(at(1s) + timer_wheel::tick, expired);
  CHECK(wheel.size() == 1);
  wheel.remove(b);
  CHECK_FALSE(b.linked());
  CHECK(wheel.size() == 1);
  CHECK(drain(expired) == std::vector{&a, &c});
  wheel.advance(at(3s), expired);
  CHECK(drain(expired) == std::vector{&later});
}

// Every timer expires neither before its time nor more than a tick after it (or after the
// insertion, where its time had passed), whatever else comes and goes.
TEST_CASE("model check against a multimap", "[timer_wheel]") {
  const test::seed seed(GENERATE(range(1u, 41u)));
  std::mt19937_64 random(seed);
  const auto below = [&](std::uint64_t n) { return random() % n; };
  const auto distance = [&](unsigned bits) {
    return hf::duration(static_cast<std::int64_t>(random() >> (64 - 1 - below(bits))));
  };

  timer_wheel wheel;
  hf::time_point now = at(hf::duration(static_cast<std::int64_t>(below(1ull << 60))));
  hf::timer_list expired;
  wheel.advance(now, expired);

  std::vector<std::unique_ptr<probe>> probes;
  for (int i = 0; i < 200; ++i) probes.push_back(std::make_unique<probe>());
  std::multimap<hf::time_point, probe*> model;  // by the time at which it has to expire
  const auto forget = [&](probe* p) {
    const auto [first, last] = model.equal_range(p->due);
    const auto i = std::find_if(first, last, [p](const auto& e) { return e.second == p; });
    REQUIRE(i != last);
    model.erase(i);
  };

  for (int step = 0; step < 4000; ++step) {
    probe& p = *probes[below(probes.size())];
    switch (below(4)) {
      case 0:
      case 1: {
        if (p.linked()) break;
        hf::time_point when = hf::saturating_add(now, distance(61));
        if (below(8) == 0) when = now - distance(50);
        if (below(16) == 0) when = hf::never;
        if (when > hf::never - timer_wheel::tick * 2) when = hf::never;
        wheel.insert(p, when);
        p.armed_at = now;
        if (when == hf::never) {
          p.due = hf::never;
          break;
        }
        const std::int64_t tick = std::max(floor_tick(timer_wheel::round_up(when)),
                                           floor_tick(now) + 1);
        p.due = at(timer_wheel::tick * tick);
        model.emplace(p.due, &p);
        break;
      }
      case 2:
        if (!p.linked()) break;
        wheel.remove(p);
        REQUIRE_FALSE(p.linked());
        if (p.due != hf::never) forget(&p);
        break;
      case 3: {
        const auto next = wheel.next();
        REQUIRE(next.has_value() == !model.empty());
        if (next) {
          REQUIRE(*next <= model.begin()->first);
          REQUIRE(*next > now - timer_wheel::tick);
        }
        if (next && below(2) == 0) {
          now = std::max(now, *next);
        } else if (const auto d = distance(54); now < hf::never - d - 24h) {
          now += d;
        }
        wheel.advance(now, expired);
        // Some of the expired are disarmed before their turn, as a callback may do.
        if (!expired.empty() && below(3) == 0) {
          auto& e = static_cast<probe&>(expired.front());
          REQUIRE(e.due <= now);
          wheel.remove(e);
          forget(&e);
        }
        hf::time_point last = hf::time_point::min();
        for (probe* e : drain(expired)) {
          REQUIRE(e->when <= now);  // not early
          REQUIRE(e->due >= last);  // in order of ticks
          last = e->due;
          forget(e);
        }
        // Not late: what is left is due after now.
        if (!model.empty()) REQUIRE(model.begin()->first > now);
        break;
      }
    }
    REQUIRE(wheel.size() == model.size());
  }
}
