// SPDX-License-Identifier: BSL-1.0
// A test without sleeping, from scratch: an hour of a service with a bad quarter in it, and the
// same hour again from the same seed.
#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <holdfast/resilient.hpp>
#include <holdfast/testing/virtual_time.hpp>

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

struct outcome {
  unsigned answers = 0;
  unsigned refused = 0;
  unsigned failed = 0;
  unsigned calls_in_bad_time = 0;
  bool operator==(const outcome&) const = default;
};

outcome simulate(std::uint64_t seed) {
  asio::io_context ctx{1};
  hf::testing::virtual_time time{ctx, seed};
  const hf::time_point start = time.now();
  outcome seen;

  auto ask = [&](hf::call_context& context) -> asio::awaitable<hf::result<int>> {
    co_await hf::sleep_for(20ms, context.token());
    const hf::duration at = context.now() - start;
    if (at < 15min || at > 30min) co_return 1;
    ++seen.calls_in_bad_time;
    co_return hf::failure(asio::error::connection_reset);
  };

  hf::circuit_breaker breaker{{.name = "service", .open_for = 30s}};
  auto guard = hf::pipeline().with(hf::timeout{1s}).with(hf::retry{}).with(breaker);
  auto client = [&]() -> asio::awaitable<void> {
    while (time.now() - start < 1h) {
      hf::result<int> r = co_await guard(ask);
      if (r) {
        ++seen.answers;
      } else {
        ++(r.error().code() == hf::condition::rejected ? seen.refused : seen.failed);
      }
      co_await hf::sleep_for(1s);
    }
  };
  asio::co_spawn(ctx, client, asio::detached);
  time.run();
  return seen;
}

int main() {
  const auto before = std::chrono::steady_clock::now();
  const outcome first = simulate(1);
  const bool again = simulate(1) == first;
  const auto took = std::chrono::steady_clock::now() - before;

  fmt::print("{} answers, {} refused, {} failed, {} calls in the bad quarter\n", first.answers,
             first.refused, first.failed, first.calls_in_bad_time);
  fmt::print("two hours in {} ms; the same twice: {}\n",
             std::chrono::duration_cast<std::chrono::milliseconds>(took).count(), again);
  return again && first.refused > 0 && first.calls_in_bad_time < 200 ? 0 : 1;
}
