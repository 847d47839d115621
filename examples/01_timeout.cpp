// SPDX-License-Identifier: BSL-1.0
// A timeout around a call. The call awaits its own operations with the context's token: that is how
// the timeout reaches them.
#include "run.hpp"

#include <string>

asio::awaitable<std::string> ask(hf::call_context& ctx) {
  fmt::print("  asking, {} left\n", show(ctx.remaining()));
  co_await hf::sleep_for(1min, ctx.token());  // stands for a read from a socket
  co_return "the answer";
}

asio::awaitable<void> scenario() {
  auto patient = hf::pipeline().with(hf::timeout{2min});
  auto hasty = hf::pipeline().with(hf::timeout{2s});

  hf::result<std::string> answer = co_await patient(ask);
  fmt::print("patient: {}\n", answer.value());

  answer = co_await hasty(ask);
  expect(answer.error().code() == hf::errc::attempt_timeout);
  fmt::print("hasty: {}\n", answer.error().message());
}

int main() { return run(scenario); }
