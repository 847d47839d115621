// SPDX-License-Identifier: BSL-1.0
// Chaos allocates nothing while it is off, and nothing for a fault.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>

#include "../support/allocations.hpp"

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;

asio::awaitable<int> ready() { co_return 1; }

/// Allocations of many operations, after a warm-up.
template <class Pipeline>
std::uint64_t count(const Pipeline& pipeline, bool expect_value) {
  asio::io_context ctx{1};
  std::uint64_t counted = 0;
  int surprises = 0;
  const auto loop = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < 1'200; ++i) {
      if (i == 200) counted = support::allocations();
      const hf::result<int> r = co_await pipeline(ready);
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

TEST_CASE("allocations: chaos") {
#ifdef BOOST_ASIO_DISABLE_AWAITABLE_FRAME_RECYCLING
  SKIP("Asio allocates each coroutine frame in this build");
#endif
  hf::chaos chaos(
      {.rules = {{.fault = hf::failure(asio::error::make_error_code(asio::error::eof))}}});
  const auto pipe = hf::pipeline().with(chaos);
  CHECK(count(pipe, true) == 0);
  chaos.enable();
  CHECK(count(pipe, false) == 0);
}
