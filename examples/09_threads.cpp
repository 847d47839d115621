// SPDX-License-Identifier: BSL-1.0
// Four threads, no strand of ours, one breaker and one bulkhead for all. In real time: some
// hundredths of a second.
#include <fmt/format.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <holdfast/resilient.hpp>
#include <thread>
#include <vector>

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

int main() {
  asio::io_context ctx;  // may be run by any number of threads

  const hf::circuit_breaker breaker{{.name = "shared", .consecutive_failures = 1000}};
  const hf::bulkhead bulkhead{{.name = "shared", .limit = 16, .queue = 1000}};
  const auto guard = hf::pipeline().with(hf::timeout{5ms}).with(breaker).with(bulkhead);

  std::atomic<unsigned> answered{0};
  std::atomic<unsigned> timed_out{0};
  std::atomic<unsigned> other{0};

  // Every tenth call hangs, and is cancelled by a timer on whatever thread is there.
  auto client = [&](unsigned number) -> asio::awaitable<void> {
    auto call = [number]() -> asio::awaitable<void> {
      co_await hf::sleep_for(number % 10 == 0 ? hf::duration(1min) : hf::duration(0));
    };
    hf::result<void> r = co_await guard(call);
    if (r) {
      ++answered;
    } else {
      ++(r.error().code() == hf::condition::timed_out ? timed_out : other);
    }
  };
  for (unsigned i = 0; i < 500; ++i) asio::co_spawn(ctx, client(i), asio::detached);

  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { ctx.run(); });
  for (auto& t : threads) t.join();

  fmt::print("{} answered, {} timed out, {} otherwise; {} permits out\n", answered.load(),
             timed_out.load(), other.load(), bulkhead.in_use());
  // A busy machine may make a good call late; none is lost.
  const bool good = answered + timed_out + other == 500 && timed_out >= 50 && other == 0 &&
                    bulkhead.in_use() == 0;
  return good ? 0 : 1;
}
