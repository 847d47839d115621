// SPDX-License-Identifier: BSL-1.0
// The load shedder's core by hand: levels, windows, the cursor; and the tenants' shares.
#include <array>
#include <catch2/catch_all.hpp>
#include <cstdint>
#include <holdfast/detail/load_shedder_core.hpp>
#include <holdfast/invalid_options.hpp>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <vector>

namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::priority;
using hf::detail::load_shedder_core;
using hf::detail::stable_hash;
using hf::detail::tenant_shares;

namespace {

hf::time_point at(hf::duration d) { return hf::time_point(1h + d); }

constexpr unsigned cohorts = load_shedder_core::cohorts;
constexpr unsigned levels = load_shedder_core::levels;

/// One window: arrivals spread over the cohorts of each class, everything admitted waits `wait`.
/// Returns how many were admitted.
unsigned window(load_shedder_core& core, hf::time_point& now, hf::duration wait,
                const std::map<priority, unsigned>& arrivals) {
  unsigned admitted = 0;
  for (const auto& [p, n] : arrivals) {
    for (unsigned i = 0; i < n; ++i) {
      const unsigned level = static_cast<unsigned>(p) * cohorts + i % cohorts;
      if (core.admit(level)) {
        ++admitted;
        core.add_sample(wait, now);
      } else {
        core.count_shed(level, now);
      }
    }
  }
  now += 1s;
  core.add_sample(wait, now);  // ends the window
  return admitted;
}

}  // namespace

TEST_CASE("a hash that is the same everywhere", "[shedder]") {
  CHECK(stable_hash("") == 0);
  CHECK(stable_hash("acme") == stable_hash(std::string("acme")));
  CHECK(stable_hash("acme") != stable_hash("acmf"));
  // Pinned: other processes have to agree.
  static_assert(stable_hash("acme") == stable_hash("acme"));
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 10'000; ++i) seen.insert(stable_hash("tenant-" + std::to_string(i)));
  CHECK(seen.size() == 10'000);
  CHECK(stable_hash(std::string_view("a\0", 2)) != stable_hash("a"));
}

TEST_CASE("a session has one level in each class, and sessions are spread evenly", "[shedder]") {
  const load_shedder_core core({});
  CHECK(core.level_of(priority::normal, 7) == core.level_of(priority::normal, 7));
  CHECK(core.level_of(priority::low, 7) == core.level_of(priority::normal, 7) + cohorts);
  CHECK(core.level_of(static_cast<priority>(200), 7) < levels);
  std::vector<unsigned> count(cohorts);
  for (std::uint64_t s = 1; s <= 128'000; ++s) ++count[core.level_of(priority::critical, s)];
  CHECK(*std::ranges::min_element(count) > 800);
  CHECK(*std::ranges::max_element(count) < 1200);
}

TEST_CASE("everybody is admitted until the mean is above the threshold", "[shedder]") {
  load_shedder_core core({});
  hf::time_point now = at(0s);
  core.add_sample(0ms, now);
  for (int i = 0; i < 5; ++i) {
    CHECK(window(core, now, 20ms, {{priority::background, 1280}}) == 1280);
    CHECK(core.cursor() == levels);
  }
  CHECK_FALSE(core.snapshot().overloaded);
  CHECK(core.snapshot().mean > 19999us);
  CHECK(core.snapshot().admitted == 1.0);
  window(core, now, 21ms, {{priority::background, 1280}});
  CHECK(core.snapshot().overloaded);
  CHECK(core.cursor() < levels);
}

TEST_CASE("overloaded: five percent fewer each window, the least important first", "[shedder]") {
  load_shedder_core core({});
  hf::time_point now = at(0s);
  core.add_sample(0ms, now);
  const std::map<priority, unsigned> arrivals{{priority::high, 640}, {priority::background, 640}};
  double expected = 1280;
  unsigned admitted = window(core, now, 30ms, arrivals);
  CHECK(admitted == 1280);
  for (int i = 0; i < 10; ++i) {
    expected *= 0.95;
    admitted = window(core, now, 30ms, arrivals);
    // A level is five calls here; none is split.
    CHECK(admitted <= expected);
    CHECK(admitted > expected - 6);
    expected = admitted;
  }
  const auto s = core.snapshot();
  CHECK(s.shed_by_priority[static_cast<std::size_t>(priority::high)] == 0);
  CHECK(s.shed == s.shed_by_priority[static_cast<std::size_t>(priority::background)]);
  CHECK(s.overloaded_windows == s.windows);
  for (int i = 0; i < 200; ++i) admitted = window(core, now, 30ms, arrivals);
  CHECK(admitted <= 30);  // below `minimum_calls` it is no overload any more
}

TEST_CASE("not overloaded: one percent of the arrivals more each window", "[shedder]") {
  load_shedder_core core({});
  hf::time_point now = at(0s);
  core.add_sample(0ms, now);
  const std::map<priority, unsigned> arrivals{{priority::normal, 1280}};
  for (int i = 0; i < 15; ++i) window(core, now, 30ms, arrivals);
  unsigned before = window(core, now, 0ms, arrivals);
  CHECK(before < 700);
  int windows = 0;
  while (core.cursor() != levels) {
    const unsigned admitted = window(core, now, 0ms, arrivals);
    REQUIRE(admitted > before);
    REQUIRE(admitted <= before + 13);
    before = admitted;
    ++windows;
  }
  CHECK(windows > 40);
  CHECK(windows < 80);
}

TEST_CASE("what is critical is never shed for overload", "[shedder]") {
  load_shedder_core core({});
  hf::time_point now = at(0s);
  core.add_sample(0ms, now);
  const std::map<priority, unsigned> arrivals{{priority::critical, 500}, {priority::high, 128}};
  for (int i = 0; i < 100; ++i) window(core, now, 1s, arrivals);
  CHECK(window(core, now, 1s, arrivals) == 500);
  CHECK(core.cursor() == cohorts);
}

TEST_CASE("every level counts among what is admitted, the first too", "[shedder]") {
  load_shedder_core core({.decrease = 0.05});
  hf::time_point now = at(0s);
  core.add_sample(0ms, now);
  for (int i = 0; i < 60; ++i) core.admit(0);
  const unsigned last = levels - cohorts;
  window(core, now, 30ms, {{priority::background, 40}});
  CHECK(core.cursor() == last + 35);  // five of a hundred
  CHECK(core.snapshot().admitted == 0.95);
}

TEST_CASE("what is shed is counted by its class, and what is in flight by the shares",
          "[shedder]") {
  load_shedder_core core({});
  for (unsigned p = 0; p < hf::priority_count; ++p) {
    for (unsigned i = 0; i <= p; ++i) core.count_shed(p * cohorts + i, at(0s));
  }
  core.count_over_share();
  for (int i = 0; i < 3; ++i) core.shares.take_for_nobody();
  const auto s = core.snapshot();
  CHECK((s.shed_by_priority == std::array<std::uint64_t, hf::priority_count>{1, 2, 3, 4, 5}));
  CHECK(s.shed_over_share == 1);
  CHECK(s.shed == 16);
  CHECK(s.in_flight == 3);
}

TEST_CASE("a session larger than the step is let in again", "[shedder]") {
  load_shedder_core core({});
  hf::time_point now = at(0s);
  core.add_sample(0ms, now);
  const auto run = [&](hf::duration wait) {
    unsigned admitted = 0;
    for (int i = 0; i < 1000; ++i) {
      const unsigned level = i % 2 == 0 ? 2 * cohorts : 3 * cohorts;  // one session in each class
      if (core.admit(level)) {
        ++admitted;
        core.add_sample(wait, now);
      }
    }
    now += 1s;
    core.add_sample(wait, now);
    return admitted;
  };
  CHECK(run(30ms) == 1000);
  CHECK(run(30ms) == 500);
  run(0ms);
  CHECK(run(0ms) >= 500);
  CHECK(run(0ms) == 1000);
}

TEST_CASE("a window ends after so many calls, too", "[shedder]") {
  const hf::duration wait = GENERATE(0ms, 30ms);  // zero adds nothing to the sum
  load_shedder_core core({.window_calls = 100});
  const hf::time_point now = at(0s);
  core.add_sample(0ms, now);
  for (int i = 0; i < 98; ++i) core.add_sample(wait, now);
  CHECK(core.snapshot().windows == 0);
  core.add_sample(wait, now);
  CHECK(core.snapshot().windows == 1);
  CHECK(core.snapshot().overloaded == (wait > 20ms));
  for (int i = 0; i < 100; ++i) core.add_sample(wait, now);
  CHECK(core.snapshot().windows == 2);
}

TEST_CASE("few calls are no overload, however long they waited", "[shedder]") {
  load_shedder_core core({.minimum_calls = 20});
  hf::time_point now = at(0s);
  core.add_sample(0ms, now);
  window(core, now, 1s, {{priority::low, 18}});  // and the one that ends it, and the one before
  CHECK(core.snapshot().overloaded);
  window(core, now, 1s, {{priority::low, 17}});
  CHECK_FALSE(core.snapshot().overloaded);
}

TEST_CASE("calls turned away by a full queue are overload", "[shedder]") {
  load_shedder_core core({.threshold = GENERATE(hf::duration(20ms), hf::duration(60s))});
  hf::time_point now = at(0s);
  core.add_sample(0ms, now);
  const auto run = [&](int turned_away) {
    for (int i = 0; i < 1000; ++i) {
      if (i < turned_away) {
        core.add_turned_away(now);
      } else {
        core.add_sample(0ms, now);
      }
    }
    now += 1s;
    core.add_sample(0ms, now);
    return core.snapshot().overloaded;
  };
  CHECK_FALSE(run(90));
  CHECK(run(110));
}

TEST_CASE("where nothing is admitted any more, the shed calls end the windows", "[shedder]") {
  load_shedder_core core({.decrease = 1.0});
  hf::time_point now = at(0s);
  core.add_sample(0ms, now);
  const std::map<priority, unsigned> arrivals{{priority::low, 128}};
  window(core, now, 1s, arrivals);
  REQUIRE_FALSE(core.admit(levels - 1));
  REQUIRE(core.cursor() <= 3 * cohorts);
  // No call ends from here on.
  const unsigned level = 3 * cohorts;
  for (int i = 0; i < 200 && !core.admit(level); ++i) {
    core.count_shed(level, now);
    now += 100ms;
  }
  CHECK(core.admit(level));
}

TEST_CASE("who is shed first changes with the rotation", "[shedder]") {
  load_shedder_core core({.rotate_every = 60s});
  core.add_sample(0ms, at(0s));
  core.add_sample(0ms, at(1s));
  std::vector<unsigned> before;
  for (std::uint64_t s = 1; s <= 100; ++s) before.push_back(core.level_of(priority::normal, s));
  core.add_sample(0ms, at(30s));
  unsigned moved = 0;
  for (std::uint64_t s = 1; s <= 100; ++s)
    moved += before[s - 1] != core.level_of(priority::normal, s);
  CHECK(moved == 0);
  core.add_sample(0ms, at(61s));
  for (std::uint64_t s = 1; s <= 100; ++s)
    moved += before[s - 1] != core.level_of(priority::normal, s);
  CHECK(moved > 80);
}

TEST_CASE("samples of any length leave the sum intact", "[shedder]") {
  load_shedder_core core({.window_calls = 50'000});
  const hf::time_point now = at(0s);
  core.add_sample(0ms, now);
  for (int i = 0; i < 49'999; ++i) core.add_sample(hf::duration::max(), now);
  const auto s = core.snapshot();
  CHECK(s.windows == 1);
  CHECK(s.mean > 599s);  // cut at ten times the highest threshold
  CHECK(s.mean <= 600s);
  core.add_sample(-5s, now);
  CHECK(core.snapshot().windows == 1);
}

TEST_CASE("new options keep the cursor and the counters", "[shedder]") {
  load_shedder_core core({.name = "api"});
  hf::time_point now = at(0s);
  core.add_sample(0ms, now);
  for (int i = 0; i < 5; ++i) window(core, now, 30ms, {{priority::normal, 1280}});
  const unsigned cursor = core.cursor();
  const auto shed = core.snapshot().shed;
  REQUIRE(cursor < levels);
  REQUIRE(shed > 0);
  CHECK_THROWS_AS(core.reconfigure({.threshold = 0s}), hf::invalid_options);
  core.reconfigure({.name = "other", .threshold = 40ms});
  CHECK(core.name() == "api");
  CHECK(core.cursor() == cursor);
  CHECK(core.snapshot().shed == shed);
  window(core, now, 30ms, {{priority::normal, 1280}});
  CHECK_FALSE(core.snapshot().overloaded);
  CHECK(core.cursor() > cursor);
}

TEST_CASE("what the layer asks for is what was set last", "[shedder]") {
  load_shedder_core core({.name = "api",
                          .signal = hf::overload_signal::latency,
                          .window = 3s,
                          .capacity = 50,
                          .tenant_burst = 2});
  CHECK(core.signal() == hf::overload_signal::latency);
  CHECK(core.window() == 3s);
  CHECK(core.capacity() == 50);
  CHECK(core.burst() == 2);
  core.reconfigure({.name = "other", .window = 5s, .capacity = 70, .tenant_burst = 7});
  CHECK(core.signal() == hf::overload_signal::queue_time);
  CHECK(core.window() == 5s);
  CHECK(core.capacity() == 70);
  CHECK(core.burst() == 7);
  CHECK(core.options().name == "api");
  CHECK(core.options().capacity == 70);
}

TEST_CASE("what was measured of one signal is not judged as another", "[shedder]") {
  const auto signal = GENERATE(hf::overload_signal::queue_time, hf::overload_signal::latency);
  load_shedder_core core({});
  for (int i = 0; i < 30; ++i) core.add_sample(1s, at(0s));
  core.reconfigure({.signal = signal});
  core.add_sample(0ms, at(1s));
  CHECK(core.snapshot().windows == 1);
  if (signal == hf::overload_signal::latency) {
    CHECK(core.snapshot().mean == 0s);
  } else {
    CHECK(core.snapshot().mean > 900ms);
  }
}

TEST_CASE("load shedder: every option out of range is refused", "[shedder]") {
  const auto faults = [](hf::load_shedder_options o) {
    const std::string where = o.name.empty() ? "load shedder: " : "load shedder 'api': ";
    try {
      const load_shedder_core core(std::move(o));
    } catch (const hf::invalid_options& e) {
      CHECK_THAT(e.what(), Catch::Matchers::StartsWith(where));
      return e.faults();
    }
    return std::vector<std::string>();
  };
  CHECK(faults({}).empty());
  CHECK(faults({.threshold = 1us,
                .window = 1ms,
                .window_calls = 1,
                .tenant_burst = 1,
                .rotate_every = 1s})
            .empty());
  CHECK(faults({.threshold = 60s,
                .window_calls = 50'000,
                .decrease = 1,
                .increase = 1,
                .tenant_burst = 1000})
            .empty());
  CHECK(faults({.name = "api", .tenant_burst = 1001}).front() ==
        "tenant_burst = 1001: must be between 1 and 1000");
  CHECK(faults({.threshold = 0s}).front() == "threshold = 0s: must be at least 1us");
  CHECK(faults({.threshold = 61s}).front() == "threshold = 61s: must be at most 60s");
  CHECK(faults({.decrease = 0.0}).front() == "decrease = 0: must be more than 0 and at most 1");
  CHECK(faults({.threshold = 0s,
                .window = 0s,
                .window_calls = 0,
                .decrease = 1.5,
                .increase = -1,
                .tenant_burst = 0,
                .rotate_every = 0s})
            .size() == 7);
  CHECK(faults({.window_calls = 50'001}).size() == 1);
}

TEST_CASE("a tenant that is alone leaves room for others", "[shares]") {
  tenant_shares shares;
  const auto hash = stable_hash("acme");
  unsigned held = 0;
  while (shares.take(hash, 100, 4) != tenant_shares::none) ++held;
  CHECK(held == 80);
  CHECK(shares.held(hash) == 80);
  CHECK(shares.total() == 80);
  CHECK(shares.take(stable_hash("other"), 100, 4) != tenant_shares::none);
  CHECK(shares.take(hash, 100, 4) == tenant_shares::none);
}

TEST_CASE("tenants that all want more end up with equal shares", "[shares]") {
  const auto tenants = GENERATE(2U, 3U, 10U);
  tenant_shares shares;
  std::vector<std::vector<tenant_shares::place>> held(tenants);
  const auto hash = [](unsigned t) { return stable_hash("tenant " + std::to_string(t)); };
  // The first takes what it can; then calls end and begin at random, those of the first no sooner.
  for (tenant_shares::place p; (p = shares.take(hash(0), 100, 4)) != tenant_shares::none;) {
    held[0].push_back(p);
  }
  std::uint64_t random = 1;
  for (int i = 0; i < 20'000; ++i) {
    random = hf::detail::mix_bits(random);
    const auto t = static_cast<unsigned>(random % tenants);
    const tenant_shares::place p = shares.take(hash(t), 100, 4);
    if (p != tenant_shares::none) held[t].push_back(p);
    const auto out = static_cast<unsigned>((random >> 32) % tenants);
    if (i % 4 == 0 && !held[out].empty()) {
      shares.give_back(held[out].back());
      held[out].pop_back();
    }
  }
  const double fair = 400.0 / (4.0 * tenants + 1);
  for (const auto& h : held) {
    CHECK(static_cast<double>(h.size()) > fair * 0.8 - 1);
    CHECK(static_cast<double>(h.size()) < fair * 1.2 + 1);
  }
  for (auto& h : held) {
    for (const auto p : h) shares.give_back(p);
  }
  CHECK(shares.total() == 0);
  for (unsigned t = 0; t < tenants; ++t) CHECK(shares.held(hash(t)) == 0);
}

TEST_CASE("a full table makes tenants share, and loses nothing", "[shares]") {
  tenant_shares shares;
  std::vector<tenant_shares::place> held;
  for (int t = 0; t < 20'000; ++t) {
    held.push_back(shares.take(stable_hash("t" + std::to_string(t)), 1'000'000, 4));
    REQUIRE(held.back() != tenant_shares::none);
  }
  CHECK(shares.total() == 20'000);
  for (const auto p : held) shares.give_back(p);
  CHECK(shares.total() == 0);
  for (int t = 0; t < 20'000; ++t) REQUIRE(shares.held(stable_hash("t" + std::to_string(t))) == 0);
}

TEST_CASE("calls of nobody count, and are not refused", "[shares]") {
  tenant_shares shares;
  std::vector<tenant_shares::place> held;
  for (int i = 0; i < 150; ++i) held.push_back(shares.take_for_nobody());
  CHECK(shares.total() == 150);
  CHECK(shares.take(stable_hash("acme"), 100, 4) == tenant_shares::none);
  for (const auto p : held) shares.give_back(p);
  shares.give_back(tenant_shares::none);
  CHECK(shares.total() == 0);
}
