// SPDX-License-Identifier: BSL-1.0
// A bulkhead: a service that hangs holds a few of our calls, and not all of them.
#include "run.hpp"

#include <boost/asio/detached.hpp>
#include <boost/asio/this_coro.hpp>
#include <string>

asio::awaitable<int> slow(hf::call_context& ctx) {
  co_await hf::sleep_for(2s, ctx.token());
  co_return 1;
}

asio::awaitable<void> scenario() {
  const hf::bulkhead database{
      {.name = "database", .limit = 2, .queue = 2, .max_queue_time = 3s}};
  auto guard = hf::pipeline().with(database);

  int answered = 0;
  int refused = 0;
  auto client = [&](int number) -> asio::awaitable<void> {
    hf::result<int> r = co_await guard(slow);
    ++(r ? answered : refused);
    fmt::print("  client {}: {}\n", number, r ? "answered" : r.error().message());
  };
  for (int i = 1; i <= 6; ++i) {
    asio::co_spawn(co_await asio::this_coro::executor, client(i), asio::detached);
  }

  co_await hf::sleep_for(1s);
  fmt::print("after a second: {} running, {} waiting\n", database.in_use(), database.waiting());
  co_await hf::sleep_for(5s);
  fmt::print("after six: {} running, {} waiting\n", database.in_use(), database.waiting());
  expect(answered == 4);
  expect(refused == 2);
}

int main() { return run(scenario); }
