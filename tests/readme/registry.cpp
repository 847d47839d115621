// SPDX-License-Identifier: BSL-1.0
// What docs/registry.md shows.
#include "scenario.hpp"

#include <catch2/catch_all.hpp>
#include <holdfast/read_configuration.hpp>
#include <holdfast/registry.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

constexpr std::string_view text = R"json(
{
  "defaults": {
    "timeout": {"after": "5s"},
    "circuit_breaker": {"consecutive_failures": 5, "open_for": "30s"}
  },
  "services": {
    "gpt-4": {
      "timeout": {"after": "1m30s"},
      "retry": {"max_attempts": 4, "wait": {"base": "250ms", "jitter": "full"}},
      "retry_budget": {"ratio": 0.1},
      "circuit_breaker": {"open_for": "60s"}
    },
    "mail": {}
  }
}
)json";

}  // namespace

TEST_CASE("registry: services from a file") {
  in_virtual_time([](hf::testing::virtual_time&) -> asio::awaitable<void> {
    const auto ask = []() -> asio::awaitable<std::string> { co_return "42"; };
    // [basic]
    hf::registry services(hf::read_configuration(text));  // link holdfast::config for JSON

    auto guard = hf::pipeline()
                     .with(services.timeout("gpt-4"))
                     .with(services.breaker("gpt-4"))
                     .with(services.retry("gpt-4"));  // draws on the service's retry budget
    hf::result<std::string> answer = co_await guard(ask);

    CHECK(services.breaker("mail").state() == hf::breaker_state::closed);  // of the defaults
    CHECK_THROWS_AS(services.breaker("gpt4"), std::out_of_range);  // did you mean 'gpt-4'?
    // [/basic]
    CHECK(answer.value() == "42");
    // [safe]
    CHECK(guard.safe_utilisation() > 0.9);  // 1 / (1 + 10 % retries), and not 1 / 4
    // [/safe]
  });
}

TEST_CASE("registry: services in code, changed while they run") {
  // [apply]
  hf::configuration c;
  c.defaults.bulkhead = hf::bulkhead_options{.limit = 25};
  c.services["gpt-4"].circuit_breaker = hf::circuit_breaker_options{.open_for = 30s};
  c.services["mail"] = {};
  hf::registry services(c);

  c.services["gpt-4"].circuit_breaker->open_for = 60s;
  c.defaults.bulkhead->limit = 50;
  c.services.erase("mail");
  c.services["payments"] = {};
  CHECK(services.apply(c) ==
        std::vector<std::string>{
            "gpt-4.circuit_breaker.open_for: 30s -> 60s",
            "gpt-4.bulkhead.limit: 25 -> 50",
            "payments: added",
            "mail: not in the configuration any more, kept as it is",
        });
  // [/apply]
}

TEST_CASE("registry: every fault of a file at once") {
  // [faults]
  try {
    hf::read_configuration(R"({"services": {"gpt-4": {
        "timout": {"after": "2s"},
        "bulkhead": {"limit": 0},
        "circuit_breaker": {"open_for": 60}}}})");
    FAIL("not refused");
  } catch (const hf::invalid_options& e) {
    CHECK(e.faults() ==
          std::vector<std::string>{
              "services.gpt-4.circuit_breaker.open_for: must be a duration such as \"250ms\", "
              "\"1m30s\" or \"1h\", is 60",
              "services.gpt-4.timout: is not known; did you mean timeout?",
              "services.gpt-4.bulkhead.limit = 0: must be at least 1",
          });
  }
  // [/faults]
}

TEST_CASE("registry: a dashboard") {
  const hf::registry services({.defaults = {.circuit_breaker = hf::circuit_breaker_options()},
                               .services = {{"gpt-4", {}}, {"mail", {}}}});
  services.breaker("mail").isolate();
  std::vector<std::string> bad;
  // [snapshot]
  for (const hf::service_snapshot& s : services.snapshot()) {
    if (s.circuit_breaker && s.circuit_breaker->state != hf::breaker_state::closed) {
      bad.push_back(s.name);
    }
  }
  // [/snapshot]
  CHECK(bad == std::vector<std::string>{"mail"});
}
