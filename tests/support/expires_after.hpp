// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/awaitable.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/errc.hpp>
#include <holdfast/testing/virtual_time.hpp>

namespace support {

/// Runs one operation and checks that an attempt timeout ended it after `allowed`.
template <class Guard, class Call>
boost::asio::awaitable<void> expires_after(holdfast::duration allowed,
                                           holdfast::testing::virtual_time& time,
                                           const Guard& guard, Call call) {
  const auto begun = time.now();
  const auto r = co_await guard(call);
  REQUIRE(r.has_error());
  CHECK(r.error().code() == holdfast::errc::attempt_timeout);
  CHECK(time.now() - begun == allowed);
}

}  // namespace support
