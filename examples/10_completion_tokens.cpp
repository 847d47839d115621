// SPDX-License-Identifier: BSL-1.0
// Asio's own vocabulary on both sides: a call that is any Asio operation, and a chain that is
// started with a callback, with a future, or within a coroutine. In real time: a few milliseconds.
#include <fmt/format.h>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <future>
#include <holdfast/resilient.hpp>

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

int main() {
  asio::io_context ctx{1};
  int good = 0;

  // The call: a function of a completion token. It is cancelled as the operation is.
  asio::steady_timer timer(ctx, 1h);
  auto wait = [&](auto token) { return timer.async_wait(token); };
  auto chain = hf::resilient(wait).with(hf::timeout{5ms});

  // A callback.
  chain(asio::bind_executor(ctx, [&](hf::result<void> r) {
    fmt::print("callback: {}\n", r.error().message());
    good += r.error().code() == hf::errc::attempt_timeout;
  }));
  ctx.run();
  ctx.restart();

  // A future.
  std::future<hf::result<void>> later = chain(asio::bind_executor(ctx, asio::use_future));
  ctx.run();
  ctx.restart();
  const hf::result<void> r = later.get();
  fmt::print("future: {}\n", r.error().message());
  good += r.error().code() == hf::errc::attempt_timeout;

  // A coroutine.
  auto scenario = [&]() -> asio::awaitable<void> {
    timer.expires_after(1ms);
    hf::result<void> done = co_await hf::resilient(wait).with(hf::timeout{1min});
    fmt::print("coroutine: {}\n", done ? "the timer has expired" : done.error().message());
    good += done.has_value();
  };
  asio::co_spawn(ctx, scenario, asio::detached);
  ctx.run();

  return good == 3 ? 0 : 1;
}
