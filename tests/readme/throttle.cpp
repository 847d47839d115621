// SPDX-License-Identifier: BSL-1.0
// What docs/throttle.md shows.
#include "scenario.hpp"

#include <boost/asio/error.hpp>
#include <catch2/catch_approx.hpp>
#include <tuple>

TEST_CASE("throttle: sends what the service can take, and somewhat more") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    const hf::time_point start = time.now();
    auto second = start;
    int left = 0;
    int sent = 0;
    // Takes ten calls a second and refuses the rest.
    const auto overloaded_service = [&]() -> asio::awaitable<hf::result<int>> {
      ++sent;
      if (time.now() - second >= 1s) {
        second = time.now();
        left = 10;
      }
      if (left-- <= 0) co_return hf::failure(asio::error::connection_refused);
      co_return 1;
    };
    // [basic]
    hf::throttle throttle{{.name = "search", .multiplier = 2.0, .window = 60s}};
    auto guard = hf::pipeline().with(throttle);

    // A hundred wishes a second, for five minutes.
    auto minutes = [&](int n) -> asio::awaitable<void> {
      for (int i = 0; i < 6000 * n; ++i) {
        std::ignore = co_await guard(overloaded_service);
        co_await hf::sleep_for(10ms);
      }
    };
    co_await minutes(3);
    sent = 0;
    co_await minutes(2);
    CHECK(sent / 120 == Catch::Approx(20).margin(3));  // a second: twice what is accepted
    CHECK(throttle.rejected() > 10'000);
    // [/basic]
    CHECK(throttle.snapshot(time.now()).rejection == Catch::Approx(0.8).margin(0.05));
  });
}
