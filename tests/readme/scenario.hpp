// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_TESTS_README_SCENARIO_HPP
#define HOLDFAST_TESTS_README_SCENARIO_HPP

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <exception>
#include <holdfast/resilient.hpp>
#include <holdfast/testing/virtual_time.hpp>

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

/// Runs a coroutine in virtual time to its end; what it throws is thrown here.
/// Returns how much virtual time has passed until then.
template <class Scenario>
hf::duration in_virtual_time(Scenario scenario) {
  asio::io_context ctx{1};
  hf::testing::virtual_time time{ctx, 42};
  const hf::time_point start = time.now();
  hf::time_point end = start;
  bool ended = false;
  std::exception_ptr thrown;
  asio::co_spawn(ctx, scenario(time), [&](std::exception_ptr e) {
    ended = true;
    end = time.now();
    thrown = e;
  });
  time.run();
  if (thrown) std::rethrow_exception(thrown);
  REQUIRE(ended);
  return end - start;
}

#endif
