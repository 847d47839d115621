// SPDX-License-Identifier: BSL-1.0
// A retry with growing delays. The service says by itself how long it wants to be left alone.
#include "run.hpp"

#include <boost/asio/error.hpp>
#include <string>

asio::awaitable<hf::result<std::string>> ask(hf::call_context& ctx) {
  fmt::print("  attempt {}\n", ctx.attempt());
  switch (ctx.attempt()) {
    case 1: co_return hf::failure(asio::error::connection_reset);
    case 2: {
      hf::failure busy(asio::error::try_again);
      co_return busy.with_retry_after(5s);
    }
    default: co_return "the answer";
  }
}

asio::awaitable<hf::result<std::string>> down() {
  co_return hf::failure(asio::error::connection_refused);
}

asio::awaitable<void> scenario() {
  auto guard = hf::pipeline().with(hf::retry{
      .max_attempts = 4,
      .wait = {.base = 100ms, .cap = 2s, .jitter = hf::jitter::equal}});

  hf::result<std::string> answer = co_await guard(ask);
  fmt::print("{}\n", answer.value());

  // Attempts that run out give the last real failure.
  answer = co_await guard(down);
  expect(answer.error().code() == asio::error::connection_refused);
  expect(answer.error().attempts() == 4);
  fmt::print("{}\n", answer.error().message());
}

int main() { return run(scenario); }
