// SPDX-License-Identifier: BSL-1.0
// Case study A, the cache: when the provider is down, what was answered before.
#include <boost/asio/error.hpp>
#include <catch2/catch_all.hpp>
#include <string>

#include "../support/stage.hpp"

using namespace std::chrono_literals;
using namespace std::string_literals;
using namespace test;
using hf::quality;

TEST_CASE("A5: a cached answer, marked; then that of a similar query, marked; then a graceful "
          "error; the caller can tell which",
          "[requirements]") {
  stage s;
  bool down = false;
  int asked = 0;
  const auto ask = [&](const std::string& question) {
    return [&, question]() -> asio::awaitable<std::string> {
      ++asked;
      if (down) throw boost::system::system_error(asio::error::connection_refused);
      co_return "answer to: " + question;
    };
  };
  hf::circuit_breaker breaker({.name = "gpt-4", .consecutive_failures = 5, .open_for = 60s});
  hf::cache<std::string> answers(
      {.name = "answers", .ttl = 60s, .ttl_jitter = 0, .stale_if_error = 24h});
  hf::similar_answers<std::string> similar(answers, {.name = "similar questions"});
  const auto guard = hf::pipeline()
                         .with(hf::timeout{2s})
                         .with(breaker)
                         .with(answers)
                         .fallback(answers.link(), {.name = "cache"})
                         .fallback(similar.link(), {.name = "similar"})
                         .fallback("We are sorry, please ask again in a minute."s,
                                   {.name = "apology"});
  const auto said = [&](const std::string& question, hf::ledger& ledger) {
    std::optional<hf::result<std::string>> answer;
    s.play([&]() -> asio::awaitable<void> {
      answer.emplace(
          co_await guard(ask(question), {.ledger = &ledger, .cache_key = question}));
    });
    REQUIRE(ledger.answered());
    return answer->value();
  };

  hf::ledger ledger;
  CHECK(said("What is the capital of France?", ledger) ==
        "answer to: What is the capital of France?");
  CHECK(ledger.quality() == quality::primary);

  // Within its time it is answered without a call; past it the provider's failure brings it back.
  CHECK(said("What is the capital of France?", ledger) ==
        "answer to: What is the capital of France?");
  CHECK(ledger.quality() == quality::cached);
  CHECK(asked == 1);
  down = true;
  s.time.run_for(61s);
  CHECK(said("What is the capital of France?", ledger) ==
        "answer to: What is the capital of France?");
  CHECK(ledger.quality() == quality::stale);
  CHECK(asked == 2);

  CHECK(said("what's the capital of france", ledger) ==
        "answer to: What is the capital of France?");
  CHECK(ledger.quality() == quality::similar);
  CHECK(ledger.answered_by() == "similar");
  CHECK(ledger.describe() ==
        "call attempt 1: failure (Connection refused) in 0s\n"
        "'cache': no answer in cache 'answers'\n"
        "'similar' attempt 1: success in 0s\n"
        "answered by similar: similar\n");

  CHECK(said("How do I bake bread?", ledger) == "We are sorry, please ask again in a minute.");
  CHECK(ledger.quality() == quality::degraded);
  CHECK(ledger.answered_by() == "apology");

  // The same while the circuit is open: not even asked.
  breaker.isolate();
  const int before = asked;
  CHECK(said("WHAT IS THE CAPITAL OF FRANCE", ledger) ==
        "answer to: What is the capital of France?");
  CHECK(ledger.quality() == quality::similar);
  CHECK(asked == before);

  // And where there is no apology, the provider's own failure.
  const auto bare = hf::pipeline().fallback(answers.link()).fallback(similar.link());
  s.play([&]() -> asio::awaitable<void> {
    const auto r = co_await bare(ask("How do I bake bread?"),
                                 {.ledger = &ledger, .cache_key = "How do I bake bread?"});
    CHECK(r.error().code() == asio::error::connection_refused);
    CHECK_FALSE(ledger.answered());
  });
}
