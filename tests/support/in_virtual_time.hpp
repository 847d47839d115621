// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch_all.hpp>
#include <exception>
#include <holdfast/testing/virtual_time.hpp>

#include "seed.hpp"

/// Runs a coroutine `body(virtual_time&) -> awaitable<void>` to its end, in virtual time. A failure
/// says the seed; one that is not given can be replaced by the environment.
template <class Body>
void in_virtual_time(Body body, std::uint64_t seed = holdfast::testing::seed_or(1)) {
  const test::seed_note note(seed);
  boost::asio::io_context ctx{1};
  holdfast::testing::virtual_time time{ctx, seed};
  bool ended = false;
  boost::asio::co_spawn(ctx, body(time), [&](const std::exception_ptr& e) {
    ended = true;
    if (e) std::rethrow_exception(e);
  });
  time.run();
  CHECK(ended);
}
