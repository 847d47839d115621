// SPDX-License-Identifier: BSL-1.0
// An adaptive limit allocates nothing per call, not even where its windows end all the time.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>

#include "../support/allocations.hpp"

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

asio::awaitable<int> suspends(hf::call_context& ctx) {
  co_await asio::post(co_await asio::this_coro::executor, ctx.token());
  co_return 1;
}

/// Allocations of many operations, after a warm-up.
template <class Pipeline>
std::uint64_t count(const Pipeline& pipeline, bool expect_value) {
  asio::io_context ctx{1};
  std::uint64_t counted = 0;
  int surprises = 0;
  const auto loop = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < 20'200; ++i) {
      if (i == 200) counted = support::allocations();
      const hf::result<int> r = co_await pipeline(suspends);
      if (r.has_value() != expect_value) ++surprises;
    }
    counted = support::allocations() - counted;
  };
  asio::co_spawn(ctx, loop(), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  ctx.run();
  CHECK(surprises == 0);
  return counted;
}

}  // namespace

TEST_CASE("allocations: adaptive limit") {
#ifdef BOOST_ASIO_DISABLE_AWAITABLE_FRAME_RECYCLING
  SKIP("Asio allocates each coroutine frame in this build");
#endif
  const auto algorithm = GENERATE(hf::limit_algorithm::gradient, hf::limit_algorithm::vegas,
                                  hf::limit_algorithm::aimd);
  const hf::adaptive_limit limit({.algorithm = algorithm,
                                  .min_limit = 1,
                                  .window = 1ms,
                                  .min_samples = 1,
                                  .measure_idle_every = 1ms});
  CHECK(count(hf::pipeline().with(limit), true) == 0);
  CHECK(limit.snapshot().windows > 0);

  const hf::adaptive_limit full(
      {.name = "a limit with a long name", .initial_limit = 1, .min_limit = 1});
  REQUIRE(full.core()->try_enter().in_flight == 1);
  CHECK(count(hf::pipeline().with(full), false) == 0);
  full.core()->release();
}
