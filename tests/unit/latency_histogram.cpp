// SPDX-License-Identifier: BSL-1.0
// Percentiles without the samples: the histogram, and the series of calls that is made of it.
#include <algorithm>
#include <catch2/catch_all.hpp>
#include <cmath>
#include <holdfast/testing/call_series.hpp>
#include <holdfast/testing/dice.hpp>
#include <holdfast/testing/latency_histogram.hpp>
#include <vector>

#include "../support/seed.hpp"

namespace hf = holdfast;
using hf::testing::call_log;
using hf::testing::call_series;
using hf::testing::dice;
using hf::testing::latency_histogram;
using namespace std::chrono_literals;

namespace {

/// Not below the exact one, and not more than a thousandth above it.
bool fits(hf::duration estimate, hf::duration exact) {
  return estimate >= exact && estimate <= exact + exact / 1000;
}

/// Each magnitude, from a nanosecond to the longest there is, as likely as any other.
hf::duration any_magnitude(dice& d) {
  return hf::duration(static_cast<hf::duration::rep>(std::exp(43.6 * d.unit())));
}

}  // namespace

TEST_CASE("latency histogram: without samples all is zero", "[histogram]") {
  const latency_histogram h;
  CHECK(h.count() == 0);
  CHECK(h.quantile(0.5) == 0s);
  CHECK(h.shortest() == 0s);
  CHECK(h.longest() == 0s);
}

TEST_CASE("latency histogram: quantiles are never too low and a thousandth too high at most",
          "[histogram]") {
  const test::seed seed(GENERATE(range(1u, 11u)));
  dice d(seed);
  latency_histogram h;
  std::vector<hf::duration> samples;
  for (int i = 0; i < 3000; ++i) {
    samples.push_back(i % 2 == 0 ? any_magnitude(d) : d.exponential(200ms));
    h.add(samples.back());
  }
  std::ranges::sort(samples);
  CHECK(h.count() == samples.size());
  CHECK(h.shortest() == samples.front());
  CHECK(h.longest() == samples.back());
  for (std::size_t permille = 1; permille <= 1000; ++permille) {
    const hf::duration exact = samples[3 * permille - 1];
    CAPTURE(permille, exact.count(), h.quantile(static_cast<double>(permille) / 1000).count());
    REQUIRE(fits(h.quantile(static_cast<double>(permille) / 1000), exact));
  }
  CHECK(h.quantile(0.0) >= samples.front());
}

TEST_CASE("latency histogram: every value alone is itself, and its bucket has its neighbours",
          "[histogram]") {
  // Around each power of two, where the buckets change their width.
  for (int bit = 0; bit < 63; ++bit) {
    for (const std::int64_t off : {-1, 0, 1}) {
      const hf::duration d((std::int64_t{1} << bit) + off);
      latency_histogram h;
      h.add(d);
      CHECK(h.quantile(1.0) == d);
      h.add(hf::duration::max());
      CAPTURE(d.count(), h.quantile(0.5).count());
      CHECK(fits(h.quantile(0.5), d));
    }
  }
}

TEST_CASE("latency histogram: extreme samples have a place", "[histogram]") {
  latency_histogram h;
  h.add(-5s);
  CHECK(h.quantile(1.0) == 0s);
  h.add(hf::duration::max());
  CHECK(h.shortest() == 0s);
  CHECK(h.longest() == hf::duration::max());
  CHECK(h.quantile(0.5) == 0s);
  CHECK(h.quantile(1.0) == hf::duration::max());
}

TEST_CASE("latency histogram: two of them are one of all their samples", "[histogram]") {
  const test::seed seed(GENERATE(1u, 2u));
  dice d(seed);
  latency_histogram one;
  latency_histogram other;
  latency_histogram both;
  for (int i = 0; i < 500; ++i) {
    const hf::duration sample = any_magnitude(d);
    (d.hits(0.3) ? one : other).add(sample);
    both.add(sample);
  }
  one.add(other);
  one.add(latency_histogram());
  CHECK(one.count() == 500);
  CHECK(one.shortest() == both.shortest());
  CHECK(one.longest() == both.longest());
  for (const double q : {0.01, 0.5, 0.99}) CHECK(one.quantile(q) == both.quantile(q));
}

TEST_CASE("latency histogram: what is cleared is forgotten", "[histogram]") {
  latency_histogram h;
  for (const hf::duration d : std::vector<hf::duration>{1ns, 3us, 7ms}) h.add(d);
  h.clear();
  CHECK(h.count() == 0);
  CHECK(h.longest() == 0s);
  h.clear();
  h.add(1ns);
  h.add(8ms);
  CHECK(h.quantile(0.5) == 1ns);
  CHECK(fits(h.quantile(0.9), 8ms));
}

TEST_CASE("call series: says of each span what a log says of it", "[call_series]") {
  const test::seed seed(GENERATE(range(1u, 6u)));
  dice d(seed);
  const hf::time_point origin{1h};
  call_log log(origin);
  call_series series(origin, 7s);
  struct call {
    hf::time_point ends;
    std::size_t number;
    hf::time_point began;
  };
  std::vector<call> running;
  hf::time_point now = origin;
  // None in the first spans, and none in one in the middle.
  now += 15s;
  for (int i = 0; i < 3000; ++i) {
    now += i == 1500 ? hf::duration(10s) : d.exponential(20ms);
    std::ranges::sort(running, {}, &call::ends);
    while (!running.empty() && running.front().ends <= now) {
      const call c = running.front();
      const bool good = d.hits(0.8);
      running.erase(running.begin());
      log.end(c.number, c.ends, good);
      series.end(c.began, c.ends, good);
    }
    running.push_back({now + d.exponential(2s), log.begin(now), series.begin(now)});
  }
  CHECK(series.unfinished() == running.size());
  CHECK(log.unfinished() == running.size());

  const auto same = [](const hf::testing::call_summary& a, const hf::testing::call_summary& exact) {
    CHECK(a.begun == exact.begun);
    CHECK(a.calls == exact.calls);
    CHECK(a.good == exact.good);
    CHECK(fits(a.p50, exact.p50));
    CHECK(fits(a.p99, exact.p99));
    CHECK(a.longest == exact.longest);
  };
  const auto spans = series.spans();
  REQUIRE(spans.size() == static_cast<std::size_t>((now - origin) / 7s) + 1);
  CHECK(spans[0].begun == 0);
  CHECK(spans[0].calls == 0);
  for (std::size_t i = 0; i < spans.size(); ++i) same(spans[i], log.between(i * 7s, (i + 1) * 7s));
  same(series.all(), log.between(0s, 24h));
}

TEST_CASE("call series: nothing has happened", "[call_series]") {
  const call_series series(hf::time_point(1h), 1s);
  CHECK(series.spans().empty());
  CHECK(series.all().calls == 0);
  CHECK(series.all().success() == 1.0);
  CHECK(series.unfinished() == 0);
}
