// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <catch2/catch_all.hpp>
#include <cmath>
#include <holdfast/detail/duration_histogram.hpp>
#include <random>
#include <vector>

#include "../support/seed.hpp"

namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::detail::duration_histogram;

TEST_CASE("a histogram without samples is all zero", "[histogram]") {
  const duration_histogram h;
  CHECK(h.count() == 0);
  CHECK(h.quantile(0.5) == 0s);
  CHECK(h.longest() == 0s);
}

TEST_CASE("quantiles are never too low and at most a quarter too high", "[histogram]") {
  const test::seed seed(GENERATE(range(1U, 11U)));
  std::mt19937_64 random(seed);
  duration_histogram h;
  std::vector<hf::duration> samples;
  std::uniform_real_distribution<double> exponent(3.5, 12.0);  // 3 microseconds to 1000 seconds
  for (int i = 0; i < 2000; ++i) {
    const hf::duration d(static_cast<std::int64_t>(std::pow(10.0, exponent(random))));
    samples.push_back(d);
    h.add(d);
  }
  std::ranges::sort(samples);
  CHECK(h.count() == samples.size());
  CHECK(h.longest() == samples.back());
  for (const double q : {0.01, 0.1, 0.5, 0.9, 0.99, 1.0}) {
    const auto rank = static_cast<std::size_t>(std::ceil(q * 2000.0));
    const hf::duration exact = samples[rank - 1];
    CAPTURE(q, exact.count(), h.quantile(q).count());
    CHECK(h.quantile(q) >= exact);
    CHECK(static_cast<double>(h.quantile(q).count()) <=
          1.25 * static_cast<double>(exact.count()) + 1000);
  }
}

TEST_CASE("extreme samples have a place", "[histogram]") {
  duration_histogram h;
  h.add(-5s);
  h.add(0s);
  h.add(hf::duration::max());
  CHECK(h.count() == 3);
  CHECK(h.longest() == hf::duration::max());
  CHECK(h.quantile(0.5) <= 1us);
  CHECK(h.quantile(1.0) > 1h);
}
