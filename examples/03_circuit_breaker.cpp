// SPDX-License-Identifier: BSL-1.0
// A circuit breaker: after three bad calls nobody waits for the service any more, until it is well.
#include "run.hpp"

#include <boost/asio/error.hpp>
#include <string>

asio::awaitable<void> scenario() {
  bool down = true;
  auto ask = [&]() -> asio::awaitable<hf::result<std::string>> {
    if (down) co_return hf::failure(asio::error::connection_reset);
    co_return "the answer";
  };

  hf::circuit_breaker breaker{{.name = "gpt-4", .consecutive_failures = 3, .open_for = 10s}};
  hf::subscription log = breaker.on_transition([](const hf::breaker_transition& t) {
    fmt::print("  {}: {} -> {} ({})\n", t.name, to_string(t.from), to_string(t.to),
               to_string(t.cause));
  });
  auto guard = hf::pipeline().with(breaker);

  for (int i = 1; i <= 6; ++i) {
    hf::result<std::string> answer = co_await guard(ask);
    fmt::print("call {}: {}\n", i, answer.error().message());
  }
  expect(breaker.state() == hf::breaker_state::open);

  down = false;
  co_await hf::sleep_for(10s);
  hf::result<std::string> answer = co_await guard(ask);
  fmt::print("ten seconds later: {}\n", answer.value());
  expect(breaker.state() == hf::breaker_state::closed);
}

int main() { return run(scenario); }
