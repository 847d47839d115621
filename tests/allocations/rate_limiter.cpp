// SPDX-License-Identifier: BSL-1.0
// No operation through a rate limiter allocates memory once the program has warmed up, unless it
// waits. A program of its own, since it replaces `operator new`.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>

#include "../support/allocations.hpp"

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

asio::awaitable<int> ready() { co_return 1; }

asio::awaitable<int> settles(hf::call_context& ctx) {
  ctx.settle(1);
  co_return 1;
}

constexpr int warm_up = 200;
constexpr int measured = 1000;

/// Allocations of `measured` operations after the warm-up, inside `ctx.run()`.
template <class Pipeline, class Call>
std::uint64_t count(const Pipeline& pipeline, Call call, bool expect_value = true) {
  asio::io_context ctx{1};
  std::uint64_t counted = 0;
  int surprises = 0;
  const auto loop = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < warm_up + measured; ++i) {
      if (i == warm_up) counted = support::allocations();
      const auto r = co_await pipeline(call, {.cost = 2});
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

void skip_without_recycling() {
#ifdef BOOST_ASIO_DISABLE_AWAITABLE_FRAME_RECYCLING
  SKIP("Asio allocates each coroutine frame in this build");
#endif
}

}  // namespace

TEST_CASE("allocations: rate limiter") {
  skip_without_recycling();
  const auto algorithm =
      GENERATE(hf::limiter_algorithm::gcra, hf::limiter_algorithm::sliding_window);
  const hf::rate_limiter limiter({.permits = 10'000'000, .algorithm = algorithm});
  const auto guard = hf::pipeline().with(limiter);
  CHECK(count(guard, ready) == 0);
  CHECK(count(guard, settles) == 0);
  CHECK(count(hf::pipeline().with(hf::timeout{1s}).with(limiter), settles) == 0);
}

TEST_CASE("allocations: rate limiter, six policies") {
  skip_without_recycling();
  const auto guard = hf::pipeline()
                         .with(hf::timeout{1s})
                         .with(hf::rate_limiter{{.permits = 10'000'000}})
                         .with(hf::retry{})
                         .with(hf::circuit_breaker{})
                         .with(hf::bulkhead{})
                         .with(hf::timeout{5s});
  CHECK(count(guard, ready) == 0);
  CHECK(count(guard, settles) == 0);
}

TEST_CASE("allocations: rate limiter, refusals") {
  skip_without_recycling();
  const hf::rate_limiter empty(
      {.name = "a limiter with a rather long name", .permits = 1, .period = 1h});
  CHECK(count(hf::pipeline().with(empty), ready, false) == 0);
}
