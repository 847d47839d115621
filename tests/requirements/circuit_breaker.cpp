// SPDX-License-Identifier: BSL-1.0
// What both case studies ask of the circuit breaker: no herd when it closes, and figures for those
// who watch it.
#include <stdexcept>
#include <tuple>

#include "../support/stage.hpp"

using namespace std::chrono_literals;
using namespace test;
using hf::breaker_state;

namespace {

/// A provider that is down until told otherwise.
struct provider {
  bool down = true;
  int asked = 0;
  auto call() {
    return [this]() -> asio::awaitable<int> {
      ++asked;
      co_await hf::sleep_for(20ms);
      if (down) throw std::runtime_error("down");
      co_return 1;
    };
  }
};

}  // namespace

TEST_CASE("A13: traffic comes back in steps of 10 % when the circuit closes", "[requirements]") {
  stage s;
  const hf::circuit_breaker breaker({.name = "llm",
                                     .consecutive_failures = 5,
                                     .open_for = 60s,
                                     .recovery = hf::recovery_ramp{}});
  const auto pipe = hf::pipeline().with(breaker);
  provider llm;
  // A hundred calls a second, for two minutes; the provider is well again after half a minute.
  for (int i = 0; i < 12'000; ++i) {
    s.start([&, i]() -> asio::awaitable<void> {
      co_await hf::sleep_for(10ms * i);
      if (i == 3'000) llm.down = false;
      std::ignore = co_await pipe(llm.call());
    });
  }
  std::vector<int> each_second;
  for (int second = 0; second < 120; ++second) {
    const int before = llm.asked;
    s.time.run_for(1s);
    each_second.push_back(llm.asked - before);
  }
  s.run();
  CHECK(breaker.state() == breaker_state::closed);
  // Open for a minute, then the probe, then ten steps of at least a second each, ten percent apart.
  for (std::size_t second = 1; second < 60; ++second) CHECK(each_second[second] == 0);
  for (std::size_t step = 1; step <= 10; ++step) {
    const int seen = each_second[59 + step];
    INFO("step " << step << ": " << seen << " of 100");
    CHECK(seen >= static_cast<int>(step) * 10 - 10);
    CHECK(seen <= static_cast<int>(step) * 10 + 11);
  }
  CHECK(each_second[75] == 100);
  CHECK(each_second[110] == 100);
}

TEST_CASE("A13: a provider that cannot bear the traffic yet is not run over", "[requirements]") {
  stage s;
  const hf::circuit_breaker breaker({.name = "llm",
                                     .consecutive_failures = 5,
                                     .open_for = 10s,
                                     .recovery = hf::recovery_ramp{}});
  const auto pipe = hf::pipeline().with(breaker);
  // It serves thirty calls a second and fails the rest.
  int this_second = 0;
  int worst = 0;
  bool down = true;
  const auto call = [&]() -> asio::awaitable<int> {
    worst = std::max(worst, ++this_second);
    if (down || this_second > 30) throw std::runtime_error("too much");
    co_return 1;
  };
  for (int i = 0; i < 6'000; ++i) {
    s.start([&, i]() -> asio::awaitable<void> {
      co_await hf::sleep_for(10ms * i);
      std::ignore = co_await pipe(call);
    });
  }
  s.time.run_for(9s);
  down = false;
  worst = 0;
  for (int second = 9; second < 60; ++second) {
    this_second = 0;
    s.time.run_for(1s);
    // Never closed, and never far from what it can do.
    CHECK(breaker.state() != breaker_state::closed);
  }
  s.run();
  CHECK(worst <= 70);
  CHECK(worst >= 25);
}

TEST_CASE("B7: the time in each state, and how often it is half-open in an hour",
          "[requirements]") {
  stage s;
  const hf::circuit_breaker breaker({.name = "recommendations",
                                     .consecutive_failures = 3,
                                     .open_for = 30s,
                                     .successes_to_close = 2},
                                    s.time.now());
  const auto pipe = hf::pipeline().with(breaker);
  provider recommendations;
  // A call each second for an hour and a half, of which the service is down for minutes 10 to 40.
  s.play([&]() -> asio::awaitable<void> {
    for (int second = 0; second < 90 * 60; ++second) {
      recommendations.down = second >= 10 * 60 && second < 40 * 60;
      std::ignore = co_await pipe(recommendations.call());
      co_await hf::sleep_for(980ms);
      if (second == 30 * 60) {
        const auto now = breaker.snapshot(s.time.now());
        // What an alert needs: how long it has not been closed, against what was expected.
        CHECK(now.state != breaker_state::closed);
        CHECK(now.in_this_state <= 31s);
        CHECK(now.half_open_last_hour >= 35);
        CHECK(now.time_in(breaker_state::open) > 18min);
      }
    }
  });
  const auto end = breaker.snapshot(s.time.now());
  CHECK(end.state == breaker_state::closed);
  hf::duration all{};
  for (const auto d : end.time_in_state) all += d;
  CHECK(all == s.elapsed());
  CHECK(end.time_in(breaker_state::open) > 28min);
  CHECK(end.time_in(breaker_state::open) < 31min);
  CHECK(end.time_in(breaker_state::half_open) > 1s);
  CHECK(end.time_in(breaker_state::half_open) < 2min);
  CHECK(end.time_in(breaker_state::closed) > 58min);
  CHECK(end.half_open_last_hour < 25);  // the first ones are more than an hour ago
  CHECK(end.half_open_last_hour > 10);
}
