// SPDX-License-Identifier: BSL-1.0
// Requirement A11: failures can be injected, to rehearse.
#include <boost/asio/error.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>
#include <string>
#include <vector>

#include "../support/stage.hpp"

namespace {

namespace hf = holdfast;
namespace asio = boost::asio;
using namespace std::chrono_literals;

}  // namespace

TEST_CASE(
    "A11: five injected failures open the circuit, the sixth call fails fast, one test closes it",
    "[requirements]") {
  test::stage s;
  int reached = 0;
  const auto ask_llm = [&](hf::call_context& ctx) -> asio::awaitable<std::string> {
    ++reached;
    co_await hf::sleep_for(200ms, ctx.token());
    co_return "42";
  };
  hf::chaos chaos(
      {.name = "gpt-4",
       .rules = {{.last_attempt = 5,
                  .delay = {.base = 30ms},
                  .fault = asio::error::make_error_code(asio::error::connection_refused)}}});
  hf::circuit_breaker breaker({.name = "gpt-4", .consecutive_failures = 5, .open_for = 60s});
  std::vector<std::string> changes;
  const auto subscription = breaker.on_transition([&](const hf::breaker_transition& t) {
    changes.push_back(std::string(to_string(t.from)) + " -> " + std::string(to_string(t.to)));
  });
  const auto guard = hf::pipeline().with(chaos).with(breaker);

  s.play([&]() -> asio::awaitable<void> {
    hf::result<std::string> before = co_await guard(ask_llm);
    CHECK(before.has_value());  // chaos is off

    chaos.enable();
    for (int i = 1; i <= 5; ++i) {
      CHECK(breaker.state() == hf::breaker_state::closed);
      hf::result<std::string> r = co_await guard(ask_llm);
      REQUIRE(r.has_error());
      CHECK(r.error().code() == asio::error::connection_refused);
      CHECK(r.error().policy() == hf::policy_kind::none);
    }
    CHECK(breaker.state() == hf::breaker_state::open);
    CHECK(reached == 1);

    const hf::time_point opened = s.time.now();
    hf::result<std::string> sixth = co_await guard(ask_llm);
    REQUIRE(sixth.has_error());
    CHECK(sixth.error().code() == hf::errc::circuit_open);
    CHECK(s.time.now() == opened);
    CHECK(reached == 1);
    CHECK(chaos.snapshot().attempts == 5);

    co_await hf::sleep_for(59s);
    hf::result<std::string> early = co_await guard(ask_llm);
    REQUIRE(early.has_error());
    CHECK(early.error().code() == hf::errc::circuit_open);

    co_await hf::sleep_for(1s);
    hf::result<std::string> probe = co_await guard(ask_llm);
    REQUIRE(probe.has_value());
    CHECK(probe.value() == "42");
    CHECK(reached == 2);
    CHECK(breaker.state() == hf::breaker_state::closed);
  });
  CHECK(changes == std::vector<std::string>{"closed -> open", "open -> half_open",
                                            "half_open -> closed"});
}
