// SPDX-License-Identifier: BSL-1.0
// A burst of twice the capacity for ten seconds, at a plain queue and at one with controlled delay.
// After the experiment in the README of github.com/bohde/codel: 1,000 calls a second into a service
// that does 500.
#include <catch2/catch_all.hpp>

#include "load.hpp"

namespace {

using namespace sim;

struct outcome {
  std::vector<hf::duration> latencies;  // of those that were served
  int served_during_burst = 0;
};

outcome burst(hf::queue_order order, std::uint64_t seed) {
  outcome o;
  test::stage s(seed);
  // Ten places of 20 ms: 500 a second.
  const hf::bulkhead bulkhead({.limit = 10, .queue = 500, .order = order});
  const auto pipe = hf::pipeline().with(bulkhead);
  const auto call = []() -> asio::awaitable<int> {
    co_await hf::sleep_for(20ms);
    co_return 1;
  };
  const auto client = [&]() -> asio::awaitable<void> {
    const hf::time_point start = s.time.now();
    const hf::result<int> r = co_await pipe(call);
    if (r) {
      o.latencies.push_back(s.time.now() - start);
      o.served_during_burst += s.elapsed() <= 10s;
    }
  };
  arrivals(s, 1000, 10s, client, seed);
  s.run();
  CHECK(bulkhead.in_use() == 0);
  return o;
}

}  // namespace

TEST_CASE("sim: controlled delay serves as many as a plain queue, and serves them soon", "[sim]") {
  const test::seed seed(GENERATE(1U, 2U, 3U));
  const outcome plain = burst(hf::queue_order::fifo, seed);
  const outcome codel = burst(hf::queue_order::codel, seed);
  const auto served_in_time = [](const outcome& o, hf::duration limit) {
    return std::ranges::count_if(o.latencies, [&](hf::duration d) { return d <= limit; });
  };
  CAPTURE(plain.served_during_burst, codel.served_during_burst, quantile(plain.latencies, 0.5),
          quantile(plain.latencies, 0.99), quantile(codel.latencies, 0.5),
          quantile(codel.latencies, 0.99));
  CHECK(quantile(plain.latencies, 0.5) > 500ms);
  CHECK(quantile(codel.latencies, 0.5) < 50ms);
  CHECK(quantile(codel.latencies, 0.99) < 130ms);
  const double throughput =
      static_cast<double>(codel.served_during_burst) / plain.served_during_burst;
  CHECK(throughput > 0.97);
  CHECK(throughput < 1.03);
  CHECK(served_in_time(codel, 100ms) > 5 * served_in_time(plain, 100ms));
}
