// SPDX-License-Identifier: BSL-1.0
// An adaptive limit allocates nothing per call, not even where its windows end all the time.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>

#include "../support/allocations_of.hpp"

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

asio::awaitable<int> suspends(hf::call_context& ctx) {
  co_await asio::post(co_await asio::this_coro::executor, ctx.token());
  co_return 1;
}

template <class Pipeline>
std::uint64_t count(const Pipeline& pipeline, bool expect_value = true) {
  return support::allocations_of([&] { return pipeline(suspends); }, expect_value,
                                 {.measured = 20'000});
}

}  // namespace

TEST_CASE("allocations: adaptive limit") {
  const auto algorithm = GENERATE(hf::limit_algorithm::gradient, hf::limit_algorithm::vegas,
                                  hf::limit_algorithm::aimd);
  const hf::adaptive_limit limit({.algorithm = algorithm,
                                  .min_limit = 1,
                                  .window = 1ms,
                                  .min_samples = 1,
                                  .measure_idle_every = 1ms});
  CHECK(count(hf::pipeline().with(limit)) == 0);
  CHECK(limit.snapshot().windows > 0);

  const hf::adaptive_limit full(
      {.name = "a limit with a long name", .initial_limit = 1, .min_limit = 1});
  REQUIRE(full.core()->try_enter().in_flight == 1);
  CHECK(count(hf::pipeline().with(full), false) == 0);
  full.core()->release();
}
