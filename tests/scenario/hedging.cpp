// SPDX-License-Identifier: BSL-1.0
// What a hedge is for: one call in fifty is slow for no reason of its own. Source: J. Dean, L. A.
// Barroso, "The Tail at Scale", CACM 56(2), 2013: a second request after the 95th percentile costs
// a few percent of load and takes most of the tail away.
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>
#include <holdfast/testing/load.hpp>
#include <holdfast/testing/service.hpp>

#include "../support/stage.hpp"

namespace {

namespace hf = holdfast;
using namespace std::chrono_literals;

struct outcome {
  hf::testing::call_summary of_calls;
  double attempts_per_call;
};

template <class Pipeline>
outcome load(const Pipeline& pipe, std::uint64_t seed) {
  test::stage s(seed);
  const hf::testing::service upstream(
      s.context, {.slots = 10'000,
                  .takes =
                      [](hf::testing::dice& chance) {
                        const hf::duration usual = 2ms + chance.exponential(3ms);
                        return chance.hits(0.02) ? 20 * usual : usual;
                      },
                  .seed = seed});
  hf::testing::call_log log(s.time.now());
  hf::testing::start(s.context, hf::testing::open_loop{.per_second = 500, .lasting = 100s, .seed = seed},
                     [&] { return pipe(upstream); }, log);
  s.run();
  const hf::testing::call_summary all = log.between(0s, 1h);
  CHECK(all.success() == 1.0);
  return {all, static_cast<double>(upstream.snapshot().arrived) / static_cast<double>(all.calls)};
}

}  // namespace

TEST_CASE("a hedge takes the tail away for a few percent of load", "[scenario]") {
  const test::seed seed(7);
  const outcome bare = load(hf::pipeline(), seed);
  CHECK(bare.of_calls.p99 > 70ms);
  SECTION("after a fixed delay") {
    const outcome hedged = load(hf::pipeline().with(hf::hedge({.delay = 15ms})), seed);
    CHECK(hedged.of_calls.p99 < 0.3 * bare.of_calls.p99);
    CHECK(hedged.attempts_per_call > 1.0);
    CHECK(hedged.attempts_per_call < 1.05);
    CHECK(hedged.of_calls.p50 <= bare.of_calls.p50 + 1ms);
  }
  SECTION("after the live 95th percentile") {
    const outcome hedged = load(hf::pipeline().with(hf::hedge({.percentile = 0.95})), seed);
    CHECK(hedged.of_calls.p99 < 0.3 * bare.of_calls.p99);
    CHECK(hedged.attempts_per_call < 1.07);
  }
  SECTION("within a budget") {
    const hf::retry_budget budget({.ratio = 0.01, .min_per_second = 0});
    const outcome hedged =
        load(hf::pipeline().with(hf::hedge({.delay = 5ms, .budget = budget})), seed);
    CHECK(hedged.attempts_per_call > 1.005);
    CHECK(hedged.attempts_per_call < 1.015);
  }
}
