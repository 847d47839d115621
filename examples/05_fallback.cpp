// SPDX-License-Identifier: BSL-1.0
// Fallbacks: another service, then the cache, then an apology. The ledger tells who answered.
#include "run.hpp"

#include <boost/asio/error.hpp>
#include <optional>
#include <stdexcept>
#include <string>

using namespace std::string_literals;

asio::awaitable<std::string> ask_gpt4(hf::call_context& ctx) {
  co_await hf::sleep_for(1min, ctx.token());  // hangs
  co_return "from gpt-4";
}

asio::awaitable<hf::result<std::string>> ask_gpt35() {
  co_return hf::failure(asio::error::connection_refused);
}

asio::awaitable<void> scenario() {
  std::optional<std::string> cache = "what I said last time";
  auto from_cache = [&]() -> std::string {
    if (!cache) throw std::runtime_error("not in the cache");
    return *cache;
  };
  const hf::fallback_options cached{.name = "cache", .quality = hf::quality::cached};

  auto chain = hf::resilient(ask_gpt4)
                   .with(hf::timeout{2s})
                   .fallback(hf::resilient(ask_gpt35).with(hf::timeout{1s}), {.name = "gpt-3.5"})
                   .fallback(from_cache, cached)
                   .fallback("Please ask again in a minute."s, {.name = "apology"});

  hf::ledger ledger;
  hf::result<std::string> answer = co_await chain.run({.ledger = &ledger});
  fmt::print("{}\n{}\n", answer.value(), ledger.describe());
  expect(ledger.quality() == hf::quality::cached);

  cache.reset();
  answer = co_await chain.run({.ledger = &ledger});
  fmt::print("{}\n{}", answer.value(), ledger.describe());
  expect(ledger.answered_by() == "apology");
}

int main() { return run(scenario); }
