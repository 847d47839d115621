// SPDX-License-Identifier: BSL-1.0
// What docs/standard.md shows.
#include <boost/asio/error.hpp>
#include <holdfast/standard.hpp>
#include <string>

#include "scenario.hpp"

using namespace std::string_literals;

TEST_CASE("standard: a stack for a remote call") {
  in_virtual_time([](hf::testing::virtual_time&) -> asio::awaitable<void> {
    auto ask = []() -> asio::awaitable<std::string> { co_return "42"; };
    // [use]
    hf::standard_options options{.name = "gpt-4",
                                 .attempt_timeout = 20s,  // it hardly ever needs more
                                 .deadline = 45s,         // what the user waits for
                                 .concurrency = 60};      // 4 calls a second of 10 s, and a half
    auto guard = hf::standard(options).fallback("Please try again later."s);
    hf::result<std::string> answer = co_await guard(ask);
    // [/use]
    CHECK(answer.value() == "42");
  });
}

TEST_CASE("standard: what it is made of") {
  const hf::standard_options options{.name = "search"};
  // [parts]
  hf::standard_parts parts(options);  // to be watched, and shared
  auto guard = hf::standard(options, parts);

  auto same = hf::pipeline()
                  .with(hf::timeout{.after = 2s, .name = "search"})
                  .with(parts.breaker)
                  .with(parts.bulkhead)
                  .with(hf::retry{.max_attempts = 3,
                                  .wait = {.base = 100ms, .cap = 5s},
                                  .budget = parts.budget,
                                  .name = "search"})
                  .with(hf::timeout{.after = 8s, .name = "search"});
  CHECK(guard.describe() == same.describe());
  // [/parts]
}

TEST_CASE("standard: a service that does not answer is left alone, and found again") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    const hf::standard_options options{.name = "search"};
    const hf::standard_parts parts(options);
    const auto guard = hf::standard(options, parts);
    bool down = true;
    const auto call = [&down](hf::call_context&) -> asio::awaitable<hf::result<int>> {
      if (down) co_return hf::failure(asio::error::connection_refused);
      co_return 1;
    };
    for (int i = 0; i < 20; ++i) {
      const hf::result<int> r = co_await guard(call);
      CHECK(r.has_error());
    }
    CHECK(parts.breaker.state() == hf::breaker_state::open);
    const hf::result<int> refused = co_await guard(call);
    REQUIRE(refused.has_error());
    CHECK(refused.error().code() == hf::errc::circuit_open);
    CHECK(parts.budget.snapshot(time.now()).granted <= 30);

    down = false;
    co_await hf::sleep_for(5s);
    const hf::result<int> found = co_await guard(call);
    CHECK(found.has_value());
  });
}
