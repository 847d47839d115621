// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <catch2/catch_all.hpp>
#include <deque>
#include <latch>
#include <random>
#include <thread>
#include <vector>

#include "../support/timed_window.hpp"
#include "../support/seed.hpp"

namespace hf = holdfast;
using test::small_window;
using test::striped_window;
using namespace std::chrono_literals;

namespace {

hf::time_point at(hf::duration d) { return hf::time_point(d); }

/// Every entry with its period: the exact answer, at any price.
struct model {
  explicit model(hf::duration window) : width(window / 10) {}
  std::int64_t period(hf::time_point t) const { return t.time_since_epoch() / width; }
  void add(hf::time_point t, bool bad) { entries.push_back({period(t), bad}); }
  std::uint64_t count(hf::time_point now, bool bad) const {
    return static_cast<std::uint64_t>(std::ranges::count_if(entries, [&](const auto& e) {
      return e.second == bad && e.first > period(now) - 10;
    }));
  }
  hf::duration width;
  std::deque<std::pair<std::int64_t, bool>> entries;
};

}  // namespace

TEST_CASE("a window of zero counts nothing", "[failure_window]") {
  striped_window w(0ns);
  CHECK_FALSE(w.enabled());
  CHECK(w.sum(at(1h)).total() == 0);
}

TEST_CASE("the shortest window has buckets of a nanosecond", "[failure_window]") {
  CHECK_FALSE(hf::detail::window_clock(9ns).enabled());
  CHECK(hf::detail::window_clock(10ns).enabled());
}

TEST_CASE("a bucket counts from nine periods before to a window ahead", "[failure_window]") {
  using hf::detail::is_current;
  using hf::detail::is_stale;
  for (const std::int64_t period : {100, 101, (1 << 24) - 3, 5}) {
    for (std::int64_t off = -30; off <= 30; ++off) {
      INFO("period " << period << " off " << off);
      const auto kept = static_cast<std::uint64_t>(period + off) & 0xff'ffff;
      CHECK(is_current<24>(kept, period) == (off >= -9 && off <= 10));
      CHECK(is_stale<24>(kept, period) == !(off >= 0 && off <= 10));
    }
  }
}

TEMPLATE_TEST_CASE("entries leave after nine to ten tenths of the window", "[failure_window]",
                   striped_window, small_window) {
  TestType w(10s);
  w.add_bad(at(100s));
  w.add_good(at(100s + 999ms));
  CHECK(w.sum(at(109s + 999ms)).total() == 2);
  CHECK(w.sum(at(109s + 999ms)).bad() == 1);
  CHECK(w.sum(at(110s)).total() == 0);
  CHECK(w.may_hold_bad(at(109s + 999ms)));
  CHECK_FALSE(w.may_hold_bad(at(110s)));
}

TEMPLATE_TEST_CASE("clear forgets everything", "[failure_window]",
                   striped_window, small_window) {
  TestType w(10s);
  for (int i = 0; i < 100; ++i) {
    w.add_bad(at(100s + i * 100ms));
    w.add_good(at(100s + i * 100ms));
  }
  w.clear();
  CHECK(w.sum(at(110s)).total() == 0);
  CHECK_FALSE(w.may_hold_bad(at(110s)));
  w.add_bad(at(111s));
  CHECK(w.sum(at(111s)).bad() == 1);
}

TEMPLATE_TEST_CASE("model check against a list of all entries", "[failure_window]",
                   striped_window, small_window) {
  const test::seed seed(GENERATE(range(1u, 31u)));
  std::mt19937_64 random(seed);
  const hf::duration window = GENERATE(as<hf::duration>(), 10ns, 1ms, 10s, 24h);
  TestType w(window);
  model m(window);
  // From the start of time, and from far into it, where the period's number has wrapped often.
  hf::time_point now =
      at(hf::duration(static_cast<std::int64_t>(random() >> (2 + random() % 62))));
  for (int i = 0; i < 2000; ++i) {
    const auto step = random() % 16;
    if (step < 4) now += hf::duration(static_cast<std::int64_t>(
        random() % static_cast<std::uint64_t>(window.count() / 8 + 1)));
    if (step == 4) now += window + hf::duration(static_cast<std::int64_t>(random() % 7));
    const bool bad = random() % 3 == 0;
    bad ? w.add_bad(now) : w.add_good(now);
    m.add(now, bad);
    const auto sum = w.sum(now);
    REQUIRE(sum.bad() == m.count(now, true));
    REQUIRE(sum.good == m.count(now, false));
    REQUIRE(sum.total() == sum.good + sum.bad());
    // May err on the side of judging, never on the other.
    if (sum.bad() > 0) REQUIRE(w.may_hold_bad(now));
    if (m.entries.size() > 500) {
      std::erase_if(m.entries, [&](const auto& e) { return e.first <= m.period(now) - 10; });
    }
  }
}

TEMPLATE_TEST_CASE("a fresh window forgets in time on a host of any uptime", "[failure_window]",
                   striped_window, small_window) {
  // The number of the period is kept in 24 bits. With a window of 10 s half of them are used up
  // after 97 days, with one of 100 ms after a day.
  const hf::duration window = GENERATE(as<hf::duration>(), 10ms, 100ms, 1s, 10s);
  const std::int64_t periods = GENERATE(as<std::int64_t>(), 0, 1, 12, (1 << 23) - 1, 1 << 23,
                                        (1 << 23) + 5, (1 << 24) - 11, (1 << 24) - 10,
                                        (1 << 24) - 1, 1 << 24, (1 << 24) + 3, 3 << 23);
  hf::time_point now = at(window / 10 * periods);
  CAPTURE(window, periods);
  TestType w(window);
  for (int round = 0; round < 3; ++round) {
    w.add_bad(now);
    w.add_good(now);
    CHECK(w.sum(now).total() == 2);
    CHECK(w.sum(now + window - window / 10).total() == 2);
    CHECK(w.sum(now + window).total() == 0);
    now += window * 2;
    if (round == 1) w.clear();
  }
}

TEMPLATE_TEST_CASE("what was counted before a long silence is gone after it", "[failure_window]",
                   striped_window, small_window) {
  const hf::duration window = 1s;
  const std::int64_t silent =
      GENERATE(as<std::int64_t>(), 100, (1 << 19) - 20, 1 << 19, (1 << 20) - 40, (1 << 23) - 40,
               (1 << 23) + 40, (1 << 22) + (1 << 19), (1 << 24) - 40,
               (std::int64_t{1} << 30) + 40);
  // (A silence of a whole multiple of 2^24 periods, of 2^20 in the small window, give or take a
  // window, cannot be told from none: a rare chance, and over after a window.)
  TestType w(window);
  const hf::time_point start = at(1h);
  for (int i = 0; i < 20; ++i) w.add_bad(start + i * 100ms);
  const hf::time_point later = start + window / 10 * silent;
  CHECK(w.sum(later).total() == 0);
  for (int i = 0; i < 10; ++i) w.add_good(later + i * 100ms);
  CHECK(w.sum(later + 900ms).good == 10);
  CHECK(w.sum(later + 900ms).bad() == 0);
  CHECK(w.sum(later + 2s).total() == 0);
}

TEMPLATE_TEST_CASE("a time a little behind counts into the newer period", "[failure_window]",
                   striped_window, small_window) {
  TestType w(10s);
  w.add_good(at(110s));
  w.add_good(at(100s));  // the same bucket, one turn ago
  CHECK(w.sum(at(110s)).total() == 2);
  w.add_bad(at(109s));  // still in the window, and counted as what it is
  CHECK(w.sum(at(110s)).total() == 3);
  CHECK(w.sum(at(119s)).total() == 2);
}

TEMPLATE_TEST_CASE("after a jump of the clock, forward or back, the window recovers",
                   "[failure_window]", striped_window, small_window) {
  TestType w(10s);
  for (int i = 0; i < 10; ++i) w.add_bad(at(100'000s + i * 1s));
  SECTION("forward") {
    const auto now = at(200'000s);
    CHECK(w.sum(now).total() == 0);
    w.add_good(now);
    CHECK(w.sum(now).total() == 1);
  }
  SECTION("back, far: the future's entries do not count for ever") {
    hf::time_point now = at(50'000s);
    for (int i = 0; i < 20; ++i, now += 1s) w.add_good(now);
    const auto sum = w.sum(now - 1s);
    CHECK(sum.good == 10);
    CHECK(sum.bad() == 0);
  }
  SECTION("back, a little: nothing negative, nothing lost") {
    w.add_good(at(100'007s));
    CHECK(w.sum(at(100'007s)).total() == 11);
    CHECK(w.sum(at(100'009s)).total() == 11);
  }
}

TEST_CASE("millions of calls in one period are counted", "[failure_window]") {
  striped_window w(10s);
  const auto now = at(100s);
  constexpr std::uint64_t n = 3'000'000;
  for (std::uint64_t i = 0; i < n; ++i) i % 4 == 0 ? w.add_bad(now) : w.add_good(now);
  CHECK(w.sum(now).total() == n);
  CHECK(w.sum(now).bad() == n / 4);
  CHECK(w.sum(now + 10s).total() == 0);
}

TEST_CASE("a full bucket of the small window keeps its rate", "[failure_window]") {
  small_window w(10s);
  const auto now = at(100s);
  constexpr std::uint64_t n = 100'000;
  for (std::uint64_t i = 0; i < n; ++i) i % 4 == 0 ? w.add_bad(now) : w.add_good(now);
  const auto sum = w.sum(now);
  CHECK(sum.total() >= 1023);
  CHECK(sum.total() < n);
  const double rate = static_cast<double>(sum.bad()) / static_cast<double>(sum.total());
  CHECK(rate > 0.249);
  CHECK(rate < 0.251);
  CHECK(w.sum(now + 10s).total() == 0);
}

TEST_CASE("the small window has room for ten thousand calls, whatever their kind",
          "[failure_window]") {
  const auto kind = GENERATE(test::call_kind::good, test::call_kind::slow, test::call_kind::failed,
                             test::call_kind::failed_slow);
  const int each = GENERATE(2047, 2048, 100'000);
  small_window w(10s);
  for (int i = 0; i < 10 * each; ++i) {
    const auto t = at(100s + std::chrono::milliseconds(i * std::int64_t{10'000} / (10 * each)));
    w.counts.add(kind, w.clock.period(t));
  }
  const auto sum = w.sum(at(109s));
  CHECK(sum.total() >= hf::detail::packed_window::most_calls);
  CHECK((sum.good != 0) + (sum.slow != 0) + (sum.failed != 0) + (sum.failed_slow != 0) == 1);
  if (each == 2047) CHECK(sum.total() == 10 * 2047);
}

TEST_CASE("the small window loses nothing where threads count at once",
          "[failure_window][threads]") {
  // Real threads; no bucket is full.
  small_window w(10s);
  constexpr int each = 4'000;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&w, t] {
        for (int i = 0; i < each; ++i) {
          const auto now = at(100s + std::chrono::microseconds(i * 2'250));
          t % 2 == 0 ? w.add_bad(now) : w.add_good(now);
        }
      });
    }
  }
  CHECK(w.sum(at(109s)).bad() == 2 * each);
  CHECK(w.sum(at(109s)).good == 2 * each);
}

TEST_CASE("nothing is lost where threads count at once", "[failure_window][threads]") {
  // Real threads; all of it within one window.
  // The second number is more than any machine gives stripes for: some of them share theirs.
  const int count = GENERATE(4, 24);
  striped_window w(10s);
  constexpr int each = 100'000;
  std::latch all_here(count);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < count; ++t) {
      threads.emplace_back([&w, &all_here, t] {
        all_here.arrive_and_wait();
        for (int i = 0; i < each; ++i) {
          const auto now = at(100s + std::chrono::microseconds(i * 90));
          t % 2 == 0 ? w.add_bad(now) : w.add_good(now);
        }
      });
    }
  }
  const auto half = static_cast<std::uint64_t>(count / 2 * each);
  CHECK(w.sum(at(109s)).bad() == half);
  CHECK(w.sum(at(109s)).good == half);
}

TEST_CASE("what is cleared while another thread counts does not come back",
          "[failure_window][threads]") {
  // Real threads. The counts of a thread are written without a locked instruction: to clear them
  // from outside would lose against a count that is under way, and bring all of them back.
  striped_window w(10s);
  const auto now = at(100s);
  std::atomic<std::uint64_t> made{0};
  std::atomic<bool> stop{false};
  std::jthread caller([&] {
    while (!stop.load(std::memory_order_relaxed)) {
      w.add_good(now);
      made.fetch_add(1, std::memory_order_release);
    }
  });
  for (int round = 0; round < 2'000; ++round) {
    // Enough of them for a mistake to show.
    const std::uint64_t enough = made.load(std::memory_order_acquire) + 20;
    while (made.load(std::memory_order_acquire) < enough) std::this_thread::yield();
    const std::uint64_t before = made.load(std::memory_order_acquire);
    w.clear();
    const std::uint64_t counted = w.sum(now).good;
    const std::uint64_t after = made.load(std::memory_order_acquire);
    if (counted > after - before + 2) {
      stop = true;
      FAIL("after a clear " << counted << " calls count, of " << after - before << " made since");
    }
  }
  stop = true;
}
