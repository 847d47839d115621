// SPDX-License-Identifier: BSL-1.0
// Fallbacks: another service, then the last good answer, then an apology. The ledger tells who answered.
#include "run.hpp"

#include <boost/asio/error.hpp>
#include <string>

using namespace std::string_literals;

asio::awaitable<hf::result<std::string>> ask_gpt35() {
  co_return hf::failure(asio::error::connection_refused);
}

asio::awaitable<void> scenario() {
  hf::cache<std::string> cache{{.name = "cache"}};
  bool hangs = false;
  auto ask_gpt4 = [&](hf::call_context& ctx) -> asio::awaitable<std::string> {
    if (hangs) co_await hf::sleep_for(1min, ctx.token());
    co_return "42, says gpt-4";
  };

  auto chain = hf::resilient(ask_gpt4)
                   .with(hf::timeout{2s})
                   .fallback(hf::resilient(ask_gpt35).with(hf::timeout{1s}), {.name = "gpt-3.5"})
                   .fallback(cache)
                   .fallback("Please ask again in a minute."s, {.name = "apology"});

  hf::ledger ledger;
  hf::result<std::string> answer =
      co_await chain.run({.ledger = &ledger, .cache_key = "6 times 7?"});
  fmt::print("{}\n{}\n", answer.value(), ledger.describe());
  expect(ledger.quality() == hf::quality::primary);

  hangs = true;
  answer = co_await chain.run({.ledger = &ledger, .cache_key = "6 times 7?"});
  fmt::print("{}\n{}\n", answer.value(), ledger.describe());
  expect(answer.value() == "42, says gpt-4");
  expect(ledger.quality() == hf::quality::cached);

  answer = co_await chain.run({.ledger = &ledger, .cache_key = "6 times 9?"});
  fmt::print("{}\n{}", answer.value(), ledger.describe());
  expect(ledger.answered_by() == "apology");
}

int main() { return run(scenario); }
