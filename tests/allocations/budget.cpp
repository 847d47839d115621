// SPDX-License-Identifier: BSL-1.0
// No operation allocates for its budget or throttle. A program of its own, since it replaces
// `operator new`.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>

#include "../support/allocations.hpp"

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

asio::awaitable<int> ready() { co_return 1; }
asio::awaitable<hf::result<int>> fails() { co_return hf::failure(asio::error::connection_reset); }

/// Allocations of a thousand operations after the warm-up.
template <class Pipeline, class Call>
std::uint64_t count(const Pipeline& pipeline, Call call) {
#ifdef BOOST_ASIO_DISABLE_AWAITABLE_FRAME_RECYCLING
  SKIP("Asio allocates each coroutine frame in this build");
#endif
  asio::io_context ctx{1};
  std::uint64_t counted = 0;
  const auto loop = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < 1200; ++i) {
      if (i == 200) counted = support::allocations();
      static_cast<void>(co_await pipeline(call));
    }
    counted = support::allocations() - counted;
  };
  asio::co_spawn(ctx, loop(), [](const std::exception_ptr& e) {
    if (e) std::rethrow_exception(e);
  });
  ctx.run();
  return counted;
}

}  // namespace

TEST_CASE("allocations: retry budget") {
  const hf::retry_budget ratio;
  CHECK(count(hf::pipeline().with(hf::retry{.budget = ratio}), ready) == 0);
  const hf::retry_budget tokens({.mode = hf::budget_mode::tokens});
  CHECK(count(hf::pipeline().with(hf::retry{.budget = tokens}), ready) == 0);
  CHECK(count(hf::pipeline().fallback(1, {.budget = ratio}), ready) == 0);
}

TEST_CASE("allocations: a spent retry budget") {
  const hf::retry_budget spent({.name = "a budget whose name does not fit into a short string",
                                .ratio = 0,
                                .min_per_second = 0});
  CHECK(count(hf::pipeline().with(hf::retry{.budget = spent}), fails) == 0);
  CHECK(spent.snapshot().exhausted == 1200);
  CHECK(count(hf::pipeline().fallback(1, {.budget = spent}), fails) == 0);
}

TEST_CASE("allocations: throttle") {
  const hf::throttle throttle({.name = "a throttle whose name does not fit into a short string",
                               .min_per_second = 0});
  const auto pipe = hf::pipeline().with(throttle);
  CHECK(count(pipe, ready) == 0);
  CHECK(throttle.rejected() == 0);
  for (int i = 0; i < 5; ++i) CHECK(count(pipe, fails) == 0);
  CHECK(throttle.rejected() > 1000);
}
