// SPDX-License-Identifier: BSL-1.0
// Load shedding in front of a bulkhead, under twice and more of what the service can do.
#include <catch2/catch_all.hpp>
#include <cmath>
#include <map>

#include "load.hpp"

namespace {

using namespace sim;
using hf::priority;

/// A service of 15 places of 20 ms: 750 calls a second, the capacity in the DAGOR paper.
struct service {
  explicit service(std::uint64_t seed, hf::queue_order order = hf::queue_order::fifo)
      : s(seed), bulkhead({.limit = 15, .queue = 10'000, .order = order}) {}

  static asio::awaitable<int> call() {
    co_await hf::sleep_for(20ms);
    co_return 1;
  }

  test::stage s;
  hf::bulkhead bulkhead;
  hf::load_shedder shedder{{.name = "api"}};
};

struct tally {
  double asked = 0;
  double served = 0;
  double rate() const { return served / asked; }
};

/// Tasks of `k` calls each, 1,500 calls a second if none fails: twice the capacity. Returns the
/// share of the tasks that succeed, all of whose calls do, once the shedder has settled.
double success_of_tasks(int k, bool by_session, std::uint64_t seed) {
  service svc(seed);
  const auto pipe =
      hf::pipeline().with(svc.bulkhead).with(hf::timeout{500ms}).with(svc.shedder);
  tally tasks;
  std::uint64_t last_session = 0;
  const hf::time_point settled = svc.s.time.now() + 30s;
  const auto task = [&]() -> asio::awaitable<void> {
    const bool counts = svc.s.time.now() >= settled;
    const std::uint64_t session = by_session ? ++last_session : 0;
    tasks.asked += counts;
    for (int i = 0; i < k; ++i) {
      const hf::result<int> r = co_await pipe(&service::call, {.session = session});
      if (!r) co_return;
    }
    tasks.served += counts;
  };
  arrivals(svc.s, 1500.0 / k, 70s, task, seed);
  svc.s.run();
  CHECK(svc.bulkhead.in_use() == 0);
  CHECK(svc.shedder.snapshot().shed > 0);
  return tasks.rate();
}

}  // namespace

TEST_CASE("sim: tasks of one to four calls succeed as often as the capacity allows", "[sim]") {
  const int k = GENERATE(1, 2, 3, 4);
  const test::seed seed(1);
  const double rate = success_of_tasks(k, true, seed);
  CAPTURE(k, rate);
  CHECK(rate > 0.45);
  CHECK(rate < 0.55);
}

TEST_CASE("sim: shed at random, tasks of several calls hardly ever succeed", "[sim]") {
  // The counterproof: without sessions a task needs luck at each of its calls.
  const test::seed seed(1);
  const double rate = success_of_tasks(4, false, seed);
  CAPTURE(rate);
  CHECK(rate < 0.3);
}

TEST_CASE("sim: a spike of prefetches does not touch the users", "[sim]") {
  // Users ask 120 times a second and prefetches as often; then these twelve times as often, which
  // is twice what the service can do.
  const auto order = GENERATE(hf::queue_order::fifo, hf::queue_order::priority);
  const test::seed seed(1);
  service svc(seed, order);
  const auto pipe =
      hf::pipeline().with(svc.bulkhead).with(hf::timeout{500ms}).with(svc.shedder);
  std::map<priority, tally> spike;
  hf::time_point from = hf::never;
  const auto client = [&](priority p) {
    return [&, p]() -> asio::awaitable<void> {
      const bool counts = svc.s.time.now() >= from;
      spike[p].asked += counts;
      const hf::result<int> r = co_await pipe(&service::call, {.priority = p});
      spike[p].served += counts && r.has_value();
    };
  };
  arrivals(svc.s, 120, 60s, client(priority::high), seed + 1);
  arrivals(svc.s, 120, 10s, client(priority::background), seed + 2);
  svc.s.time.run_for(10s);
  CHECK(svc.shedder.snapshot().shed == 0);
  // With a queue by priority they are safe from the first instant, otherwise once the shedder has
  // settled: it comes down by five percent a second.
  from = svc.s.time.now() + (order == hf::queue_order::priority ? 0s : 20s);
  arrivals(svc.s, 12 * 120, 50s, client(priority::background), seed + 3);
  svc.s.run();
  const double users = spike[priority::high].rate();
  const double prefetches = spike[priority::background].rate();
  CAPTURE(users, prefetches, to_string(order));
  CHECK(users > 0.99);
  CHECK(prefetches < 0.55);
  CHECK(prefetches > 0.30);  // and the capacity is used
  const auto s = svc.shedder.snapshot();
  CHECK(s.shed_by_priority[static_cast<std::size_t>(priority::high)] == 0);
}

TEST_CASE("sim: without a shedder the same spike takes the users down", "[sim]") {
  const test::seed seed(1);
  service svc(seed);
  const auto pipe = hf::pipeline().with(svc.bulkhead).with(hf::timeout{500ms});
  tally users;
  const auto user = [&]() -> asio::awaitable<void> {
    ++users.asked;
    const hf::result<int> r = co_await pipe(&service::call);
    users.served += r.has_value();
  };
  const auto prefetch = [&]() -> asio::awaitable<void> {
    std::ignore = co_await pipe(&service::call);
  };
  arrivals(svc.s, 120, 30s, user, seed + 1);
  arrivals(svc.s, 12 * 120, 30s, prefetch, seed + 3);
  svc.s.run();
  CHECK(users.rate() < 0.75);
}

TEST_CASE("sim: one tenant that asks for everything leaves the others their share", "[sim]") {
  const test::seed seed(1);
  test::stage s(seed);
  const hf::bulkhead bulkhead({.limit = 20, .queue = 10'000});
  const bool fair = GENERATE(true, false);
  const hf::load_shedder shedder({.capacity = fair ? 20U : 0U, .tenant_burst = 4});
  const auto pipe = hf::pipeline().with(bulkhead).with(hf::timeout{500ms}).with(shedder);
  std::map<std::string, tally> by_tenant;
  const auto client = [&](std::string tenant) {
    return [&, tenant]() -> asio::awaitable<void> {
      auto& t = by_tenant[tenant];
      ++t.asked;
      const hf::result<int> r = co_await pipe(&service::call, {.tenant = tenant});
      t.served += r.has_value();
    };
  };
  // 1,000 a second can be served.
  arrivals(s, 4000, 20s, client("greedy"), seed);
  arrivals(s, 60, 20s, client("small"), seed + 1);
  arrivals(s, 60, 20s, client("other"), seed + 2);
  s.run();
  CAPTURE(by_tenant["greedy"].rate(), by_tenant["small"].rate(), by_tenant["other"].rate());
  if (fair) {
    CHECK(by_tenant["small"].rate() > 0.95);
    CHECK(by_tenant["other"].rate() > 0.95);
    CHECK(by_tenant["greedy"].served / 20 > 600);
  } else {
    CHECK(by_tenant["small"].rate() < 0.8);
  }
  CHECK(bulkhead.in_use() == 0);
  CHECK(shedder.snapshot().in_flight == 0);
}
