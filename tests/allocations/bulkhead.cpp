// SPDX-License-Identifier: BSL-1.0
// Neither the bulkhead nor the load shedder allocates memory once the program has warmed up. A
// program of its own, since it replaces `operator new`.
#include <boost/asio/awaitable.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>
#include <string_view>

#include "../support/allocations_of.hpp"

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

asio::awaitable<int> ready() { co_return 1; }

template <class Pipeline>
std::uint64_t count(const Pipeline& pipeline, hf::call_options options, bool expect_value = true) {
  // Warm: windows of the shedder have ended.
  return support::allocations_of([&] { return pipeline(ready, options); }, expect_value,
                                 {.warm_up = 3000, .measured = 5000});
}

}  // namespace

TEST_CASE("allocations: bulkhead with a queue and a weight") {
  for (const auto order : {hf::queue_order::fifo, hf::queue_order::lifo, hf::queue_order::priority,
                           hf::queue_order::codel}) {
    const hf::bulkhead b({.limit = 8, .queue = 8, .order = order});
    CHECK(count(hf::pipeline().with(b), {.priority = hf::priority::high, .weight = 3}) == 0);
  }
}

TEST_CASE("allocations: load shedder, with and without shares") {
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
  hf::bulkhead closed({.limit = 1, .queue = 5, .order = hf::queue_order::lifo});
  closed.close();
  CHECK(count(hf::pipeline().with(closed), {}, false) == 0);
  CHECK(count(hf::pipeline().with(hf::bulkhead({.limit = 2, .queue = 5})), {.weight = 3}, false) ==
        0);
  const hf::load_shedder shedder({.signal = hf::overload_signal::latency, .capacity = 10});
  for (int i = 0; i < 10; ++i) shedder.core()->shares.take_for_nobody();
  CHECK(count(hf::pipeline().with(shedder), {.tenant = "acme"}, false) == 0);
}
