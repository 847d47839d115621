// SPDX-License-Identifier: BSL-1.0
// Neither the bulkhead nor the load shedder allocates memory once the program has warmed up. A
// program of its own, since it replaces `operator new`.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>
#include <string_view>

#include "../support/allocations.hpp"

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

asio::awaitable<int> ready() { co_return 1; }

template <class Pipeline>
std::uint64_t count(const Pipeline& pipeline, hf::call_options options, bool expect_value = true) {
  constexpr int warm_up = 3000;  // windows of the shedder included
  constexpr int measured = 5000;
  asio::io_context ctx{1};
  std::uint64_t counted = 0;
  int surprises = 0;
  const auto loop = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < warm_up + measured; ++i) {
      if (i == warm_up) counted = support::allocations();
      const hf::result<int> r = co_await pipeline(ready, options);
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
#if defined(BOOST_ASIO_DISABLE_AWAITABLE_FRAME_RECYCLING)
  SKIP("frames are not recycled");
#endif
}

}  // namespace

TEST_CASE("allocations: bulkhead with a queue and a weight") {
  skip_without_recycling();
  for (const auto order : {hf::queue_order::fifo, hf::queue_order::lifo, hf::queue_order::priority,
                           hf::queue_order::codel}) {
    const hf::bulkhead b({.limit = 8, .queue = 8, .order = order});
    CHECK(count(hf::pipeline().with(b), {.priority = hf::priority::high, .weight = 3}) == 0);
  }
}

TEST_CASE("allocations: load shedder, with and without shares") {
  skip_without_recycling();
  for (const unsigned capacity : {0U, 100U}) {
    const hf::load_shedder s({.window_calls = 100, .capacity = capacity});
    const auto pipe = hf::pipeline().with(hf::bulkhead()).with(s);
    CHECK(count(pipe, {.tenant = "a tenant with a long name, too long to be small"}) == 0);
    CHECK(count(pipe, {.session = 17}) == 0);
    CHECK(count(pipe, {}) == 0);
    CHECK(s.snapshot().windows > 0);
  }
}

TEST_CASE("allocations: five policies and a load shedder") {
  skip_without_recycling();
  CHECK(count(hf::pipeline()
                  .with(hf::timeout{1s})
                  .with(hf::retry{})
                  .with(hf::circuit_breaker{})
                  .with(hf::bulkhead{})
                  .with(hf::load_shedder{{.capacity = 100}})
                  .with(hf::timeout{5s}),
              {.tenant = "acme"}) == 0);
}

TEST_CASE("allocations: refusals of a closed bulkhead, a heavy call, a tenant above its share") {
  skip_without_recycling();
  hf::bulkhead closed({.limit = 1, .queue = 5, .order = hf::queue_order::lifo});
  closed.close();
  CHECK(count(hf::pipeline().with(closed), {}, false) == 0);
  CHECK(count(hf::pipeline().with(hf::bulkhead({.limit = 2, .queue = 5})), {.weight = 3}, false) ==
        0);
  const hf::load_shedder shedder({.signal = hf::overload_signal::latency, .capacity = 10});
  for (int i = 0; i < 10; ++i) shedder.core()->shares.take_for_nobody();
  CHECK(count(hf::pipeline().with(shedder), {.tenant = "acme"}, false) == 0);
}
