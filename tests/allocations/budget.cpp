// SPDX-License-Identifier: BSL-1.0
// No operation allocates for its budget or throttle. A program of its own, since it replaces
// `operator new`.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/error.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>

#include "../support/allocations_of.hpp"

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

asio::awaitable<int> ready() { co_return 1; }
asio::awaitable<hf::result<int>> fails() { co_return hf::failure(asio::error::connection_reset); }

template <class Pipeline, class Call>
std::uint64_t count(const Pipeline& pipeline, Call call, bool expect_value) {
  return support::allocations_of([&] { return pipeline(call); }, expect_value);
}

}  // namespace

TEST_CASE("allocations: retry budget") {
  const hf::retry_budget ratio;
  CHECK(count(hf::pipeline().with(hf::retry{.budget = ratio}), ready, true) == 0);
  const hf::retry_budget tokens({.mode = hf::budget_mode::tokens});
  CHECK(count(hf::pipeline().with(hf::retry{.budget = tokens}), ready, true) == 0);
  CHECK(count(hf::pipeline().fallback(1, {.budget = ratio}), ready, true) == 0);
}

TEST_CASE("allocations: a spent retry budget") {
  const hf::retry_budget spent({.name = "a budget whose name does not fit into a short string",
                                .ratio = 0,
                                .min_per_second = 0});
  CHECK(count(hf::pipeline().with(hf::retry{.budget = spent}), fails, false) == 0);
  CHECK(spent.snapshot().exhausted == 1200);
  CHECK(count(hf::pipeline().fallback(1, {.budget = spent}), fails, false) == 0);
}

TEST_CASE("allocations: throttle") {
  const hf::throttle throttle({.name = "a throttle whose name does not fit into a short string",
                               .min_per_second = 0});
  const auto pipe = hf::pipeline().with(throttle);
  CHECK(count(pipe, ready, true) == 0);
  CHECK(throttle.rejected() == 0);
  for (int i = 0; i < 5; ++i) CHECK(count(pipe, fails, false) == 0);
  CHECK(throttle.rejected() > 1000);
}
