// SPDX-License-Identifier: BSL-1.0
// What jitter is for: a hundred clients change one row, each from the version that it has read; of
// those that write at once, one wins. Source: M. Brooker, "Exponential Backoff And Jitter", AWS
// Architecture Blog, 2015: delays of 10 ms at first and up to 2 s, a network of 10 ms give or take
// 2.
#include <algorithm>
#include <boost/asio/error.hpp>
#include <catch2/catch_all.hpp>
#include <cmath>
#include <holdfast/resilient.hpp>
#include <holdfast/testing/dice.hpp>
#include <numbers>

#include "../support/stage.hpp"

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

struct outcome {
  double calls = 0;    // writes, the vain ones too
  double seconds = 0;  // until all have written
};

outcome contend(const hf::backoff& wait, std::uint64_t seed) {
  constexpr int clients = 100;
  test::stage s(seed);
  hf::testing::dice chance(seed);
  const auto network = [&chance] {
    // Box and Muller's transform.
    const double normal = std::sqrt(-2 * std::log(chance.unit())) *
                          std::cos(2 * std::numbers::pi * chance.unit());
    return hf::duration(static_cast<std::int64_t>(1e6 * std::max(10 + 2 * normal, 0.0)));
  };
  const auto pipe =
      hf::pipeline().with(hf::retry{.max_attempts = 100'000, .wait = wait});
  int version = 0;
  outcome o;
  const auto change = [&]() -> asio::awaitable<hf::result<int>> {
    co_await hf::sleep_for(network());
    const int seen = version;
    co_await hf::sleep_for(network());  // back with what was read, and there again
    co_await hf::sleep_for(network());
    ++o.calls;
    const bool won = version == seen;
    if (won) ++version;
    co_await hf::sleep_for(network());
    if (!won) co_return hf::failure(asio::error::try_again);
    co_return seen;
  };
  for (int i = 0; i < clients; ++i) {
    s.start([&]() -> asio::awaitable<void> {
      const hf::result<int> r = co_await pipe(change);
      CHECK(r.has_value());
    });
  }
  s.run();
  CHECK(version == clients);
  o.seconds = std::chrono::duration<double>(s.elapsed()).count();
  return o;
}

/// Over ten runs, of the seeds from `first` on.
outcome mean(hf::backoff wait, std::uint64_t first) {
  wait.base = 10ms;
  wait.cap = 2s;
  constexpr int runs = 10;
  outcome sum;
  for (std::uint64_t seed = first; seed < first + runs; ++seed) {
    const outcome one = contend(wait, seed);
    sum.calls += one.calls / runs;
    sum.seconds += one.seconds / runs;
  }
  return sum;
}

}  // namespace

TEST_CASE("backoff without jitter keeps those who collide together", "[scenario]") {
  const test::seed seed(1);
  const outcome bare =
      mean({.kind = hf::backoff_kind::exponential, .jitter = hf::jitter::none}, seed);
  const outcome equal = mean({.jitter = hf::jitter::equal}, seed);
  const outcome full = mean({.jitter = hf::jitter::full}, seed);
  const outcome decorrelated = mean({.jitter = hf::jitter::decorrelated}, seed);
  CAPTURE(bare.calls, bare.seconds, equal.calls, equal.seconds, full.calls, full.seconds,
          decorrelated.calls, decorrelated.seconds);
  CHECK(full.calls <= 0.45 * bare.calls);
  CHECK(full.seconds <= 0.1 * bare.seconds);
  // Full jitter makes the fewest calls, in a time that only decorrelated jitter equals.
  CHECK(full.calls <= 1.05 * equal.calls);
  CHECK(full.calls <= 1.05 * decorrelated.calls);
  CHECK(full.seconds <= equal.seconds);
  CHECK(decorrelated.seconds <= equal.seconds);
}
