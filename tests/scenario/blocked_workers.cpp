// SPDX-License-Identifier: BSL-1.0
// Scenario S2, blocked workers: a server of 200 workers calls a provider for one of its routes; for
// two minutes half of the provider's answers take a minute. What becomes of the other route, which
// does not need the provider at all?
#include <catch2/catch_all.hpp>
#include <holdfast/standard.hpp>
#include <holdfast/testing/load.hpp>
#include <holdfast/testing/service.hpp>
#include <optional>

#include "../support/stage.hpp"

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::testing::service;

constexpr unsigned workers = 200;

struct outcome {
  std::optional<hf::duration> full_after;  // since the brown-out began: all workers are busy
  double other_route = 0;                  // the share served while it lasts
  double provider_route = 0;
};

/// Calls come 50 times a second to the one route and 400 times to the other; who has not been
/// served after ten seconds goes away, which the server does not notice.
template <class Policy>
outcome block(const Policy& policy, std::uint64_t seed) {
  test::stage s(seed);
  const service provider(
      s.context,
      {.slots = 1'000'000,
       .takes = hf::testing::exponential(1s),
       .brown_outs = {{.from = 30s, .until = 150s, .share = 0.5, .takes = 60s}},
       .seed = seed});
  const service server(s.context, {.slots = workers});
  hf::testing::dice chance(seed);

  const service asks_provider =
      server.route([&](hf::call_context&) -> asio::awaitable<bool> {
        const hf::result<hf::testing::reply> r = co_await policy(provider);
        co_return r.has_value();
      });
  const service does_without = server.route([&](hf::call_context&) -> asio::awaitable<bool> {
    co_await hf::sleep_for(chance.exponential(20ms));
    co_return true;
  });

  const auto patience = hf::pipeline().with(hf::timeout{10s});
  hf::testing::call_log provider_log(s.time.now());
  hf::testing::call_log other_log(s.time.now());
  hf::testing::start(s.context, hf::testing::open_loop{50, 180s, seed},
                     [&] { return patience(asks_provider); }, provider_log);
  hf::testing::start(s.context, hf::testing::open_loop{400, 180s, seed + 1},
                     [&] { return patience(does_without); }, other_log);

  outcome o;
  for (hf::duration t = 30s; t < 150s; t += 100ms) {
    s.time.run_until(s.began + t);
    if (!o.full_after && server.snapshot().busy == workers) o.full_after = t - 30s;
  }
  s.run();
  o.other_route = other_log.between(30s, 150s).success();
  o.provider_route = provider_log.between(30s, 150s).success();
  return o;
}

}  // namespace

TEST_CASE("S2: a long timeout lets one provider take all workers", "[scenario]") {
  const test::seed seed(7);
  const outcome o = block(hf::pipeline().with(hf::timeout{60s}), seed);
  REQUIRE(o.full_after);
  // 25 calls a second that stay for a minute, and 142 workers that are free.
  CHECK(*o.full_after > 5s);
  CHECK(*o.full_after < 9s);
  CHECK(o.other_route < 0.2);
}

TEST_CASE("S2: a timeout that fits keeps the workers", "[scenario]") {
  const test::seed seed(7);
  const outcome o = block(hf::pipeline().with(hf::timeout{5s}), seed);
  CHECK(o.other_route == 1.0);
  CHECK(o.provider_route > 0.49);
  CHECK(o.provider_route < 0.52);
}

TEST_CASE("S2: a bulkhead keeps the workers whatever the timeout is", "[scenario]") {
  const test::seed seed(7);
  const auto timeout = GENERATE(5s, 60s);
  const outcome o =
      block(hf::pipeline().with(hf::timeout{timeout}).with(hf::bulkhead({.limit = 80})), seed);
  CHECK_FALSE(o.full_after);
  CHECK(o.other_route == 1.0);
}

TEST_CASE("S2: a breaker that trips at half an outage makes it a whole one", "[scenario]") {
  const test::seed seed(7);
  const outcome o = block(hf::pipeline()
                              .with(hf::timeout{5s})
                              .with(hf::circuit_breaker({.failure_rate = 0.4, .window = 10s}))
                              .with(hf::bulkhead({.limit = 80})), seed);
  CHECK(o.other_route == 1.0);
  CHECK(o.provider_route < 0.06);
}

TEST_CASE("S2: the standard stack's breaker costs nothing at half an outage", "[scenario]") {
  const test::seed seed(7);
  const hf::standard_options options{
      .name = "provider", .attempt_timeout = 5s, .deadline = 10s, .concurrency = 80};
  hf::standard_parts never_opens(options);
  never_opens.breaker.observe();
  const outcome without = block(hf::standard(options, never_opens), seed);
  const outcome with = block(hf::standard(options), seed);
  CAPTURE(without.provider_route, with.provider_route);
  CHECK_FALSE(with.full_after);
  CHECK(with.other_route == 1.0);
  CHECK(with.provider_route >= 0.9 * without.provider_route);
}
