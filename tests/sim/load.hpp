// SPDX-License-Identifier: BSL-1.0
// Calls that arrive at random at a service with so many places, in virtual time.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <holdfast/testing/load.hpp>
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
  s.start([&s, per_second, lasting, arrive, seed] {
    const auto one = [&s, arrive]() -> asio::awaitable<void> {
      s.start(arrive);
      co_return;
    };
    return hf::testing::detail::run_arrivals(
        s.context, one, {.per_second = per_second, .lasting = lasting, .seed = seed});
  });
}

inline hf::duration quantile(std::vector<hf::duration> values, double q) {
  std::ranges::sort(values);
  const auto last = static_cast<double>(values.size() - 1);
  return values[static_cast<std::size_t>(q * last)];
}

}  // namespace sim
