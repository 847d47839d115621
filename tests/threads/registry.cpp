// SPDX-License-Identifier: BSL-1.0
// Real threads: several look services up and call them, while another applies configurations.
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <catch2/catch_all.hpp>
#include <fmt/format.h>
#include <holdfast/registry.hpp>
#include <holdfast/resilient.hpp>
#include <thread>

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

hf::configuration revision(unsigned n) {
  hf::configuration c{.defaults = {.timeout = hf::timeout{5s},
                                   .circuit_breaker = {{.failure_rate = 0.9}},
                                   .bulkhead = hf::bulkhead_options(),
                                   .rate_limiter = {{.permits = 100'000'000}},
                                   .retry_budget = hf::retry_budget_options(),
                                   .throttle = hf::throttle_options(),
                                   .adaptive_limit = hf::adaptive_limit_options()}};
  c.defaults.bulkhead->limit = 1000 + n % 7;
  c.defaults.circuit_breaker->open_for = 30s + n * 1ms;
  c.defaults.throttle->multiplier = 2.0 + n % 3;
  c.defaults.retry_budget->ratio = 0.1 * (n % 5 + 1);
  c.defaults.adaptive_limit->max_limit = 1000 + n % 2;
  c.services["a"].retry = hf::retry{.max_attempts = n % 4 + 1};
  for (unsigned i = 0; i <= n; i += 10) c.services[fmt::format("s{}", i)];
  return c;
}

}  // namespace

TEST_CASE("services are looked up, called and reconfigured at the same time", "[threads]") {
  constexpr unsigned revisions = 100;
  hf::registry services(revision(0));
  const auto works = []() -> asio::awaitable<int> { co_return 1; };
  std::atomic<int> answers{0};
  std::atomic<int> failed{0};
  std::atomic<bool> done{false};
  const auto session = [&]() -> asio::awaitable<void> {
    do {
      for (const std::string_view name : {"a", "s0"}) {
        auto guard = hf::pipeline()
                         .with(services.timeout(name))
                         .with(services.limiter(name))
                         .with(services.bulkhead(name))
                         .with(services.adaptive_limit(name))
                         .with(services.breaker(name))
                         .with(services.throttle(name));
        for (int i = 0; i < 10; ++i) {
          hf::result<int> r = co_await guard(works);
          ++(r.has_value() ? answers : failed);
        }
      }
      if (services.retry("a").max_attempts == 0) ++failed;
      // A service is seen with all of its policies or not at all.
      for (const auto& s : services.snapshot()) {
        if (!s.circuit_breaker || !s.throttle || !s.bulkhead) ++failed;
      }
    } while (!done);
  };
  {
    asio::thread_pool pool(3);
    for (int i = 0; i < 3; ++i) {
      asio::co_spawn(asio::make_strand(pool), session(), [&](const std::exception_ptr& e) {
        if (e) ++failed;
      });
    }
    for (unsigned n = 1; n <= revisions; ++n) services.apply(revision(n));
    done = true;
    pool.join();
  }
  CHECK(failed == 0);
  CHECK(answers > 0);
  CHECK(services.size() == 1 + revisions / 10 + 1);
  CHECK(services.bulkhead("a").limit() == 1000 + revisions % 7);
  CHECK(services.bulkhead("a").in_use() == 0);
  CHECK(services.adaptive_limit("a").in_flight() == 0);
}
