// SPDX-License-Identifier: BSL-1.0
// No operation through a rate limiter allocates memory once the program has warmed up, unless it
// waits. A program of its own, since it replaces `operator new`.
#include <boost/asio/awaitable.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>

#include "../support/allocations_of.hpp"

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

asio::awaitable<int> ready() { co_return 1; }

asio::awaitable<int> settles(hf::call_context& ctx) {
  ctx.settle(1);
  co_return 1;
}

template <class Pipeline, class Call>
std::uint64_t count(const Pipeline& pipeline, Call call, bool expect_value = true) {
  return support::allocations_of([&] { return pipeline(call, {.cost = 2}); }, expect_value);
}

}  // namespace

TEST_CASE("allocations: rate limiter") {
  const auto algorithm =
      GENERATE(hf::limiter_algorithm::gcra, hf::limiter_algorithm::sliding_window);
  const hf::rate_limiter limiter({.permits = 10'000'000, .algorithm = algorithm});
  const auto guard = hf::pipeline().with(limiter);
  CHECK(count(guard, ready) == 0);
  CHECK(count(guard, settles) == 0);
  CHECK(count(hf::pipeline().with(hf::timeout{1s}).with(limiter), settles) == 0);
}

TEST_CASE("allocations: rate limiter, six policies") {
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
  const hf::rate_limiter empty(
      {.name = "a limiter with a rather long name", .permits = 1, .period = 1h});
  CHECK(count(hf::pipeline().with(empty), ready, false) == 0);
}
