// SPDX-License-Identifier: BSL-1.0
// What the README shows.
#include "scenario.hpp"

#include <boost/asio/error.hpp>
#include <string>

namespace {

using namespace std::string_literals;

struct service {
  unsigned gpt4_calls = 0;
  bool gpt4_hangs = true;
  bool gpt35_fails = false;
  hf::circuit_breaker gpt4_breaker{{.name = "gpt-4"}};
  hf::cache<std::string> last_answers{{.name = "cache"}};

  auto ask_gpt4() {
    return [this](hf::call_context& ctx) -> asio::awaitable<std::string> {
      ++gpt4_calls;
      if (gpt4_hangs) co_await hf::sleep_for(60s, ctx.token());
      co_return "from gpt-4";
    };
  }

  auto ask_gpt35() {
    return [this](hf::call_context&) -> asio::awaitable<std::string> {
      if (gpt35_fails) {
        throw boost::system::system_error(asio::error::connection_refused);
      }
      co_return "from gpt-3.5";
    };
  }

  asio::awaitable<std::string> handle(std::string question = "6 times 7?") {
    auto ask_gpt4 = this->ask_gpt4();
    auto ask_gpt35 = this->ask_gpt35();
    // [ten_lines]
    auto answer = co_await hf::resilient(ask_gpt4, {.cache_key = question})
                      .with(hf::timeout{2s})                              // for each attempt
                      .with(hf::retry{.max_attempts = 3})
                      .with(gpt4_breaker)                                 // shared with other calls
                      .fallback(hf::resilient(ask_gpt35).with(hf::timeout{2s}))
                      .fallback(last_answers)                             // of the same question
                      .fallback("Please ask again in a minute."s);        // outermost
    // [/ten_lines]
    co_return answer.value();
  }
};

}  // namespace

TEST_CASE("README: the ten lines answer from the first link that can") {
  service s;
  in_virtual_time([&](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    s.gpt4_hangs = false;
    std::string answer = co_await s.handle();
    CHECK(answer == "from gpt-4");

    // Three attempts of two seconds each, and at most two short delays.
    s.gpt4_hangs = true;
    s.gpt4_calls = 0;
    const hf::time_point start = time.now();
    answer = co_await s.handle();
    CHECK(answer == "from gpt-3.5");
    CHECK(s.gpt4_calls == 3);
    CHECK(time.now() - start >= 6s);
    CHECK(time.now() - start <= 6s + 300ms);

    s.gpt35_fails = true;
    answer = co_await s.handle();
    CHECK(answer == "from gpt-3.5");  // what it said last
    answer = co_await s.handle("What else?");
    CHECK(answer == "Please ask again in a minute.");
  });
}

TEST_CASE("README: after five bad operations nobody waits for gpt-4 any more") {
  service s;
  in_virtual_time([&](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    for (int i = 0; i < 5; ++i) {
      const std::string answer = co_await s.handle();
      CHECK(answer == "from gpt-3.5");
    }
    CHECK(s.gpt4_breaker.state() == hf::breaker_state::open);
    const hf::time_point start = time.now();
    const std::string answer = co_await s.handle();
    CHECK(answer == "from gpt-3.5");
    CHECK(time.now() == start);
  });
}

// [a_test]
TEST_CASE("a provider that hangs costs six seconds, not a minute") {
  asio::io_context ctx{1};
  hf::testing::virtual_time time{ctx, 42};  // the seed of every jitter
  const auto start = time.now();

  auto hangs = [](hf::call_context& context) -> asio::awaitable<std::string> {
    co_await hf::sleep_for(1min, context.token());
    co_return "too late";
  };
  auto guard = hf::pipeline()
                   .with(hf::timeout{2s})
                   .with(hf::retry{.max_attempts = 3, .wait = {.base = 0s}});

  auto scenario = [&]() -> asio::awaitable<void> {
    hf::result<std::string> answer = co_await guard(hangs);
    REQUIRE(answer.has_error());
    CHECK(answer.error().code() == hf::errc::attempt_timeout);
    CHECK(answer.error().attempts() == 3);
    CHECK(time.now() - start == 6s);
  };
  asio::co_spawn(ctx, scenario, [](std::exception_ptr e) { REQUIRE(!e); });
  time.run();  // takes no time at all
}
// [/a_test]
