// SPDX-License-Identifier: BSL-1.0
// Scenario S3, a metastable failure: an outage of ten seconds that retries prolong for ever.
// Source: N. Bronson, A. Aghayev, A. Charapko, T. Zhu, "Metastable Failures in Distributed
// Systems", HotOS 2021, figure 2: a server of 300 queries a second, callers that wait for a second
// and try once more.
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>
#include <holdfast/testing/load.hpp>
#include <holdfast/testing/service.hpp>
#include <optional>

#include "../support/stage.hpp"

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

constexpr hf::duration end = 240s;

struct outcome {
  std::optional<hf::duration> healed;  // when nine of ten calls succeed again, and go on doing so
  double goodput;                      // a second, in the last minute
  double offered;                      // attempts a second, in the last minute
};

/// The outage lasts from 30 s to 40 s.
template <class Pipeline>
outcome outage(const Pipeline& pipe, double per_second, std::uint64_t seed,
               hf::testing::service_options options = {}) {
  test::stage s(seed);
  options.slots = 1;
  options.takes = hf::testing::constantly(hf::duration(1'000'000'000 / 300));
  // Whatever is begun then takes until it is over.
  options.brown_outs = {{.from = 30s, .until = 40s, .takes = 10s}};
  options.seed = seed;
  const hf::testing::service upstream(s.context, options);
  hf::testing::call_log log(s.time.now());
  hf::testing::start(s.context,
                     hf::testing::open_loop{.per_second = per_second, .lasting = end, .seed = seed},
                     [&] { return pipe(upstream); }, log);
  s.time.run_until(s.began + end - 60s);
  const std::uint64_t before = upstream.snapshot().arrived;
  s.time.run_until(s.began + end);

  outcome o;
  o.offered = static_cast<double>(upstream.snapshot().arrived - before) / 60;
  o.goodput = static_cast<double>(log.between(end - 60s, end).good) / 60;
  for (hf::duration t = end - 5s; t >= 40s; t -= 1s) {
    if (log.between(t, t + 5s).success() < 0.9) break;
    o.healed = t;
  }
  return o;
}

const auto patience = hf::pipeline().with(hf::timeout{1s});
const hf::retry once_more{.max_attempts = 2, .wait = {.base = 0s, .cap = 0s}};

hf::retry within(double retries_per_second) {
  hf::retry r = once_more;
  r.budget = hf::retry_budget({.ratio = 0, .min_per_second = retries_per_second});
  return r;
}

}  // namespace

TEST_CASE("S3: one retry makes ten seconds of outage last for ever", "[scenario]") {
  const test::seed seed(7);
  const outcome o = outage(patience.with(once_more), 280, seed);
  CHECK_FALSE(o.healed);
  CHECK(o.goodput == 0);
  CHECK(o.offered > 545);
  CHECK(o.offered < 575);
}

TEST_CASE("S3: at half the load, or without retries, it heals when the queue has drained",
          "[scenario]") {
  const test::seed seed(7);
  const outcome half = outage(patience.with(once_more), 140, seed);
  REQUIRE(half.healed);
  CHECK(*half.healed > 140s);
  CHECK(*half.healed < 175s);
  const outcome none = outage(patience, 280, seed);
  REQUIRE(none.healed);
  CHECK(*none.healed > 140s);
  CHECK(*none.healed < 200s);
}

TEST_CASE("S3: a budget heals only as fast as it leaves room", "[scenario]") {
  const test::seed seed(7);
  CHECK_FALSE(outage(patience.with(within(15)), 280, seed).healed);  // it drains five a second
  const outcome too_much = outage(patience.with(within(25)), 280, seed);
  CHECK_FALSE(too_much.healed);
  CHECK(too_much.goodput == 0);
}

TEST_CASE("S3: a queue that serves the newest, or controls the delay, heals within seconds",
          "[scenario]") {
  const test::seed seed(7);
  const auto order = GENERATE(hf::queue_order::lifo, hf::queue_order::codel);
  const outcome o = outage(patience.with(once_more), 280, seed, {.order = order});
  REQUIRE(o.healed);
  CHECK(*o.healed <= 45s);
}

TEST_CASE("S3: dropping what nobody waits for heals in seconds, too", "[scenario]") {
  const test::seed seed(7);
  const outcome o = outage(patience.with(once_more), 280, seed, {.work_goes_on = false});
  REQUIRE(o.healed);
  CHECK(*o.healed <= 55s);
}
