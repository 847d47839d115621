// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch_all.hpp>
#include <cstdint>
#include <exception>
#include <thread>
#include <type_traits>
#include <vector>

#include "allocations.hpp"

namespace support {

struct run_of {
  int warm_up = 200;
  int measured = 1000;
  bool one_thread = true;  // or as far as the library can know several may run the context
  int threads = 1;         // that run it
};

/// Heap allocations of the measured ones of many operations, one after another. `operation`
/// returns what is to be awaited, from the number of the operation if it wants that; the results
/// must all be values, or all be failures.
template <class Operation>
std::uint64_t allocations_of(Operation operation, bool expect_value = true, run_of run = {}) {
#ifdef BOOST_ASIO_DISABLE_AWAITABLE_FRAME_RECYCLING
  SKIP("Asio allocates each coroutine frame in this build");
#endif
  const auto start = [&operation](int i) {
    if constexpr (std::is_invocable_v<Operation&, int>) {
      return operation(i);
    } else {
      return operation();
    }
  };
  boost::asio::io_context ctx{run.one_thread ? 1 : BOOST_ASIO_CONCURRENCY_HINT_DEFAULT};
  std::uint64_t counted = 0;
  int surprises = 0;
  const auto loop = [&]() -> boost::asio::awaitable<void> {
    for (int i = 0; i < run.warm_up + run.measured; ++i) {
      if (i == run.warm_up) counted = allocations();
      const auto r = co_await start(i);
      if (r.has_value() != expect_value) ++surprises;
    }
    counted = allocations() - counted;
  };
  boost::asio::co_spawn(ctx, loop(), [](const std::exception_ptr& e) {
    if (e) std::rethrow_exception(e);
  });
  std::vector<std::thread> others;
  for (int i = 1; i < run.threads; ++i) others.emplace_back([&ctx] { ctx.run(); });
  ctx.run();
  for (auto& t : others) t.join();
  CHECK(surprises == 0);
  return counted;
}

}  // namespace support
