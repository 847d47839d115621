// SPDX-License-Identifier: BSL-1.0
// What an any_pipeline allocates. A program of its own, since it replaces `operator new`.
#include <boost/asio/awaitable.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/any_pipeline.hpp>
#include <holdfast/resilient.hpp>
#include <string>

#include "../support/allocations_of.hpp"

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

TEST_CASE("allocations: any_pipeline, one when made") {
  const auto pipeline = hf::pipeline().with(hf::timeout{1s}).with(hf::retry{});
  const auto before = support::allocations();
  const hf::any_pipeline<int> guard = pipeline;
  CHECK(support::allocations() - before == 1);
  const auto made = support::allocations();
  const hf::any_pipeline<int> copy = guard;
  CHECK(support::allocations() == made);
}

TEST_CASE("allocations: any_pipeline, none in a call of any kind") {
  const hf::circuit_breaker breaker;
  const hf::bulkhead bulkhead;
  const hf::any_pipeline<int> guard = hf::pipeline()
                                          .with(hf::timeout{1s})
                                          .with(bulkhead)
                                          .with(breaker)
                                          .with(hf::retry{})
                                          .with(hf::timeout{5s})
                                          .fallback(0);
  const auto plain = []() -> asio::awaitable<int> { co_return 1; };
  const auto reader = [](const hf::call_context& c) -> asio::awaitable<int> {
    co_return static_cast<int>(c.attempt());
  };
  const auto context = [](hf::call_context&) -> asio::awaitable<int> { co_return 1; };
  const auto result = [](hf::call_context&) -> asio::awaitable<hf::result<int>> { co_return 1; };
  CHECK(support::allocations_of([&] { return guard(plain); }) == 0);
  CHECK(support::allocations_of([&] { return guard(reader); }) == 0);
  CHECK(support::allocations_of([&] { return guard(context); }) == 0);
  CHECK(support::allocations_of([&] { return guard(result); }) == 0);
}

TEST_CASE("allocations: any_pipeline, none for a large call beyond its own copies") {
  const hf::any_pipeline<int> guard = hf::pipeline().with(hf::timeout{1s});
  struct large {
    char bytes[500];
  };
  const auto call = [l = large{}](hf::call_context&) -> asio::awaitable<int> {
    co_return l.bytes[0] + 1;
  };
  CHECK(support::allocations_of([&] { return guard(call); }) == 0);
}
