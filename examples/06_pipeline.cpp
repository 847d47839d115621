// SPDX-License-Identifier: BSL-1.0
// The whole stack, made once and used for many calls. It prints itself.
#include "run.hpp"

#include <string>

using namespace std::string_literals;

asio::awaitable<void> scenario() {
  const hf::circuit_breaker breaker{{.name = "gpt-4", .consecutive_failures = 4}};
  const hf::bulkhead bulkhead{{.name = "gpt-4", .limit = 64}};

  auto guard = hf::pipeline()
                   .with(hf::timeout{2s})  // each attempt
                   .with(hf::retry{.max_attempts = 3, .wait = {.base = 50ms}})
                   .with(breaker)
                   .with(bulkhead)
                   .with(hf::timeout{5s})  // all of it
                   .fallback("Please ask again in a minute."s);
  fmt::print("{}call\n\n", guard.describe());

  bool hangs = false;
  unsigned calls = 0;
  auto ask = [&](hf::call_context& ctx) -> asio::awaitable<std::string> {
    ++calls;
    if (hangs) co_await hf::sleep_for(1min, ctx.token());
    co_return "the answer";
  };

  for (int i = 0; i < 8; ++i) {
    hangs = i > 1;
    calls = 0;
    hf::result<std::string> answer = co_await guard(ask);
    fmt::print("{} ({} calls of gpt-4, circuit {})\n", answer.value(), calls,
               to_string(breaker.state()));
  }
  expect(breaker.state() == hf::breaker_state::open);
  expect(calls == 0);
}

int main() { return run(scenario); }
