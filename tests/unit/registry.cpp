// SPDX-License-Identifier: BSL-1.0
#include <holdfast/registry.hpp>

#include <catch2/catch_all.hpp>
#include <holdfast/invalid_options.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "../support/allocations.hpp"
#include "../support/every_policy.hpp"

namespace hf = holdfast;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::MessageMatches;
using lines = std::vector<std::string>;

namespace {

hf::configuration two_services() {
  return {.defaults = {.timeout = hf::timeout{2s}, .bulkhead = {{.limit = 7}}},
          .services = {{"gpt-4",
                        {.retry = hf::retry{.max_attempts = 4},
                         .circuit_breaker = {{.open_for = 60s}},
                         .retry_budget = {{.ratio = 0.1}}}},
                       {"mail", {.timeout = hf::timeout{30s}}}}};
}

}  // namespace

TEST_CASE("everybody who asks for a name gets the same object", "[registry]") {
  const hf::registry r(two_services());
  CHECK(r.breaker("gpt-4").core() == r.breaker("gpt-4").core());
  CHECK(r.breaker("gpt-4").name() == "gpt-4");
  CHECK(r.bulkhead("gpt-4").core() == r.bulkhead("gpt-4").core());
  // Defaults are options, never objects.
  CHECK(r.bulkhead("gpt-4").core() != r.bulkhead("mail").core());
  CHECK(r.bulkhead("mail").limit() == 7);
  CHECK(r.bulkhead("mail").name() == "mail");
}

TEST_CASE("a service has its own values, or the defaults", "[registry]") {
  const hf::registry r(two_services());
  CHECK(r.timeout("gpt-4").after == 2s);
  CHECK(r.timeout("mail").after == 30s);
  REQUIRE(r.retry("gpt-4").budget);
  CHECK(r.retry("gpt-4").max_attempts == 4);
  CHECK(r.retry("gpt-4").budget->core() == r.budget("gpt-4").core());
}

TEST_CASE("a retry keeps a budget of its own", "[registry]") {
  const hf::retry_budget shared({.name = "shared"});
  const hf::registry r({.services = {{"a",
                                      {.retry = hf::retry{.budget = shared},
                                       .retry_budget = hf::retry_budget_options()}},
                                     {"b", {.retry = hf::retry()}}}});
  CHECK(r.retry("a").budget->core() == shared.core());
  CHECK_FALSE(r.retry("b").budget);
}

TEST_CASE("what there is not is an error that helps", "[registry]") {
  const hf::registry r(two_services());
  CHECK_THROWS_MATCHES(
      r.breaker("gpt4"), std::out_of_range,
      MessageMatches(ContainsSubstring("no service 'gpt4'; did you mean 'gpt-4'?")));
  CHECK_THROWS_MATCHES(r.bulkhead("payments"), std::out_of_range,
                       MessageMatches(ContainsSubstring("no service 'payments'") &&
                                      !ContainsSubstring("mean")));
  CHECK_THROWS_MATCHES(r.breaker("mail"), std::out_of_range,
                       MessageMatches(ContainsSubstring("'mail' has no circuit_breaker")));
  CHECK_THROWS_AS(r.retry("mail"), std::out_of_range);
  CHECK_THROWS_AS(r.snapshot_of("payments"), std::out_of_range);
}

TEST_CASE("every kind of policy is found", "[registry]") {
  const hf::registry r({.services = {{"x", test::every_policy()}}});
  CHECK(r.breaker("x").name() == "x");
  CHECK(r.bulkhead("x").name() == "x");
  CHECK(r.limiter("x").name() == "x");
  CHECK(r.budget("x").name() == "x");
  CHECK(r.throttle("x").name() == "x");
  CHECK(r.adaptive_limit("x").name() == "x");
  CHECK(r.hedge("x").name() == "x");
  CHECK(r.shedder("x").name() == "x");
  CHECK(r.chaos("x").name() == "x");
  CHECK(r.timeout("x").after == 30s);
  CHECK(r.retry("x").max_attempts == 3);
  const auto s = r.snapshot_of("x");
  CHECK((s.circuit_breaker && s.bulkhead && s.rate_limiter && s.retry_budget && s.throttle &&
         s.adaptive_limit && s.hedge && s.load_shedder && s.chaos));
}

TEST_CASE("a look-up allocates nothing", "[registry]") {
  const hf::registry r(two_services());
  const auto before = support::allocations();
  const auto found = r.breaker("gpt-4");
  CHECK(support::allocations() == before);
}

TEST_CASE("a dashboard sees all services", "[registry]") {
  const hf::registry r(two_services());
  r.breaker("gpt-4").isolate();
  CHECK(r.names() == lines{"gpt-4", "mail"});
  CHECK(r.size() == 2);
  CHECK(r.contains("mail"));
  CHECK_FALSE(r.contains("gpt"));
  const auto all = r.snapshot();
  REQUIRE(all.size() == 2);
  CHECK(all[0].name == "gpt-4");
  CHECK(all[0].circuit_breaker->state == hf::breaker_state::isolated);
  CHECK_FALSE(all[1].circuit_breaker);
  CHECK(all[1].bulkhead->limit == 7);
  CHECK_THAT(r.describe(), ContainsSubstring("gpt-4.circuit_breaker.open_for: 60s\n") &&
                               ContainsSubstring("mail.timeout.after: 30s\n") &&
                               ContainsSubstring("gpt-4.retry.wait.jitter: full\n"));
}

TEST_CASE("all faults of a configuration come at once, with their places", "[registry]") {
  hf::configuration c = two_services();
  c.defaults.bulkhead->limit = 0;
  c.services["gpt-4"].circuit_breaker->open_for = 0s;
  c.services["gpt-4"].retry->wait.base = -1s;
  try {
    const hf::registry r(c);
    FAIL("not refused");
  } catch (const hf::invalid_options& e) {
    CHECK(e.faults() ==
          lines{"defaults.bulkhead.limit = 0: must be at least 1",
                "services.gpt-4.retry.wait.base = -1s: must be at least 0s",
                "services.gpt-4.circuit_breaker.open_for = 0s: must be at least 1ns"});
  }
}

TEST_CASE("a new configuration changes the objects that there are, and tells what", "[registry]") {
  hf::registry r(two_services());
  const hf::circuit_breaker breaker = r.breaker("gpt-4");
  const hf::bulkhead bulkhead = r.bulkhead("mail");
  hf::configuration c = two_services();
  c.services["gpt-4"].circuit_breaker->open_for = 90s;
  c.services["gpt-4"].circuit_breaker->recovery = hf::recovery_ramp{.steps = {{.share = 0.5}}};
  c.defaults.timeout->after = 3s;
  c.defaults.bulkhead->limit = 8;
  c.services["gpt-4"].throttle = hf::throttle_options();
  c.services["sms"] = {};
  CHECK(r.apply(c) ==
        lines{"gpt-4.timeout.after: 2s -> 3s (for pipelines made from now on)",
              "gpt-4.circuit_breaker.open_for: 60s -> 90s",
              "gpt-4.circuit_breaker.recovery.steps[0].share: none -> 0.5",
              "gpt-4.circuit_breaker.recovery.steps[0].minimum_calls: none -> 5",
              "gpt-4.circuit_breaker.recovery.steps[0].failure_rate: none -> 0.5",
              "gpt-4.circuit_breaker.recovery.steps[0].at_least: none -> 1s",
              "gpt-4.circuit_breaker.recovery.failed_step: none -> back_one_step",
              "gpt-4.bulkhead.limit: 7 -> 8",
              "gpt-4.throttle: added",
              "mail.bulkhead.limit: 7 -> 8",
              "sms: added"});
  CHECK(breaker.core() == r.breaker("gpt-4").core());
  CHECK(bulkhead.limit() == 8);
  CHECK(r.timeout("gpt-4").after == 3s);
  CHECK(r.bulkhead("sms").limit() == 8);
  CHECK(r.apply(c).empty());  // nothing left to change
}

TEST_CASE("a new configuration keeps what was learnt", "[registry]") {
  hf::registry r(two_services());
  hf::configuration c = two_services();
  c.services["gpt-4"].retry_budget->ratio = 0.2;
  c.services["gpt-4"].circuit_breaker->consecutive_failures = 9;
  hf::retry_budget budget = r.budget("gpt-4");
  for (int i = 0; i < 100; ++i) budget.on_call();
  r.apply(c);
  CHECK(r.budget("gpt-4").snapshot().calls_in_window == 100);
  CHECK(r.budget("gpt-4").current_options().ratio == 0.2);
}

TEST_CASE("what is missing from a new configuration is kept, and a line says so", "[registry]") {
  hf::registry r(two_services());
  const hf::circuit_breaker breaker = r.breaker("gpt-4");
  hf::configuration c = two_services();
  c.services["gpt-4"].circuit_breaker.reset();
  c.services.erase("mail");
  CHECK(r.apply(c) == lines{"gpt-4.circuit_breaker: not in the configuration any more, kept as it is",
                            "mail: not in the configuration any more, kept as it is"});
  CHECK(r.breaker("gpt-4").core() == breaker.core());
  CHECK(r.timeout("mail").after == 30s);
}

TEST_CASE("nothing is applied if anything is invalid", "[registry]") {
  hf::registry r({.services = {{"a", {.bulkhead = {{.limit = 1}}}},
                               {"z", {.rate_limiter = {{.permits = 5}}}}}});
  hf::configuration c;
  c.services["a"].bulkhead = {.limit = 2};
  c.services["b"] = {};
  SECTION("by itself") { c.services["z"].rate_limiter = {.permits = 0}; }
  SECTION("in place of what there is") {
    c.services["z"].rate_limiter = {.algorithm = hf::limiter_algorithm::sliding_window};
  }
  CHECK_THROWS_MATCHES(r.apply(c), hf::invalid_options,
                       MessageMatches(ContainsSubstring("services.z.rate_limiter.")));
  CHECK(r.bulkhead("a").limit() == 1);
  CHECK(r.names() == lines{"a", "z"});
}

TEST_CASE("a function is taken over, though it cannot be compared", "[registry]") {
  hf::configuration c{.services = {{"a", {.circuit_breaker = hf::circuit_breaker_options()}}}};
  hf::registry r(c);
  int asked = 0;
  const auto counts = [&asked](const hf::breaker_window&) { return ++asked < 0; };
  c.services["a"].circuit_breaker->minimum_calls = 1;
  c.services["a"].circuit_breaker->opens_if = counts;
  CHECK(r.apply(c) == lines{"a.circuit_breaker.opens_if: none -> a function",
                            "a.circuit_breaker.minimum_calls: 20 -> 1"});
  int other = 0;
  c.services["a"].circuit_breaker->opens_if = [&other](const hf::breaker_window&) {
    return ++other < 0;
  };
  CHECK(r.apply(c).empty());
  const auto now = hf::clock::now();
  hf::detail::breaker_permit permit;
  const auto core = r.breaker("a").core();
  REQUIRE(core->try_enter(permit, now));
  core->leave(permit, hf::verdict::failure, now);
  CHECK(asked == 0);
  CHECK(other == 1);
}
