// SPDX-License-Identifier: BSL-1.0
// What the examples share: each runs a coroutine in virtual time, and fails when it throws.
#ifndef HOLDFAST_EXAMPLES_RUN_HPP
#define HOLDFAST_EXAMPLES_RUN_HPP

#include <fmt/format.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <exception>
#include <holdfast/resilient.hpp>
#include <holdfast/testing/virtual_time.hpp>
#include <source_location>
#include <stdexcept>
#include <string>

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

/// The examples run as tests: this is how they notice.
inline void expect(bool good, std::source_location at = std::source_location::current()) {
  if (!good) throw std::logic_error(fmt::format("line {}: not as expected", at.line()));
}

inline std::string show(hf::duration d) {
  return fmt::format("{:g} s", std::chrono::duration<double>(d).count());
}

/// Runs the scenario and gives `main` its exit code. Minutes of it take no time.
template <class Scenario>
int run(Scenario scenario) {
  asio::io_context ctx{1};
  hf::testing::virtual_time time{ctx, 42};
  const hf::time_point start = time.now();
  int code = 1;
  asio::co_spawn(ctx, scenario(), [&](std::exception_ptr thrown) {
    try {
      if (thrown) std::rethrow_exception(thrown);
      fmt::print("({} of virtual time)\n", show(time.now() - start));
      code = 0;
    } catch (const std::exception& e) {
      fmt::print(stderr, "failed: {}\n", e.what());
    }
  });
  time.run();
  return code;
}

#endif
