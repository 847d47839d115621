// SPDX-License-Identifier: BSL-1.0
// Calls that arrive at random at a service with so many places, in virtual time.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <holdfast/detail/uniform.hpp>
#include <random>
#include <vector>

#include "../support/stage.hpp"

namespace sim {

namespace hf = holdfast;
namespace asio = boost::asio;
using namespace std::chrono_literals;

/// Starts `arrive()` as a Poisson process of `per_second`, from now on for `lasting`.
template <class Arrive>
void arrivals(test::stage& s, double per_second, hf::duration lasting, Arrive arrive,
              std::uint64_t seed) {
  s.start([&s, per_second, lasting, arrive, seed]() -> asio::awaitable<void> {
    std::mt19937_64 random(seed);
    std::exponential_distribution<double> gap(per_second);
    const hf::time_point until = s.time.now() + lasting;
    hf::time_point next = s.time.now();
    for (;;) {
      next += hf::duration(static_cast<std::int64_t>(gap(random) * 1e9));
      if (next >= until) co_return;
      co_await hf::sleep_until(next);
      s.start(arrive);
    }
  });
}

inline hf::duration quantile(std::vector<hf::duration> values, double q) {
  std::ranges::sort(values);
  const auto last = static_cast<double>(values.size() - 1);
  return values[static_cast<std::size_t>(q * last)];
}

}  // namespace sim
