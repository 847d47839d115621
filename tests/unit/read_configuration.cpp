// SPDX-License-Identifier: BSL-1.0
#include <holdfast/read_configuration.hpp>

#include <boost/asio/error.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/invalid_options.hpp>
#include <holdfast/registry.hpp>
#include <string>
#include <vector>

#include "../support/every_policy.hpp"

namespace hf = holdfast;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using lines = std::vector<std::string>;

namespace {

lines faults(std::string_view json) {
  try {
    hf::read_configuration(json);
  } catch (const hf::invalid_options& e) {
    return e.faults();
  }
  return {};
}

/// The faults of one option of one policy.
lines faults_of(std::string_view policy, std::string_view member) {
  return faults(R"({"services": {"x": {")" + std::string(policy) + R"(": {)" + std::string(member) +
                "}}}}");
}

}  // namespace

TEST_CASE("a configuration is read", "[configuration]") {
  const auto c = hf::read_configuration(R"({
    "defaults": {"timeout": {"after": "2s"},
                 "circuit_breaker": {"open_for": "30s", "failure_rate": 0.5}},
    "services": {
      "gpt-4": {
        "timeout": {"after": "1m30s", "mode": "detach", "grace": "250ms", "max_detached": 3},
        "retry": {"max_attempts": 4, "wait": {"kind": "linear", "base": "50ms", "jitter": "equal"},
                  "honour_retry_after": false},
        "circuit_breaker": {"open_for": "1h", "recovery": {"steps": [{"share": 0.1}, {"share": 1}],
                                                           "failed_step": "open"}},
        "bulkhead": {"limit": 5, "queue": 10, "order": "codel"},
        "rate_limiter": {"permits": 60, "period": "1m", "algorithm": "sliding_window"},
        "retry_budget": {"mode": "tokens", "token_ratio": 0.25},
        "throttle": {"multiplier": 1.1},
        "adaptive_limit": {"algorithm": "vegas"},
        "hedge": {"percentile": 0.95},
        "load_shedder": {"signal": "latency", "window_calls": 100}
      },
      "mail": {}
    }})");
  REQUIRE(c.services.size() == 2);
  const auto& s = c.services.at("gpt-4");
  CHECK(c.defaults.timeout->after == 2s);
  CHECK(s.timeout->after == 90s);
  CHECK(s.timeout->mode == hf::timeout_mode::detach);
  CHECK(s.timeout->grace == 250ms);
  CHECK(s.timeout->max_detached == 3);
  CHECK(s.retry->max_attempts == 4);
  CHECK(s.retry->wait.kind == hf::backoff_kind::linear);
  CHECK(s.retry->wait.base == 50ms);
  CHECK(s.retry->wait.cap == 20s);
  CHECK(s.retry->wait.jitter == hf::jitter::equal);
  CHECK_FALSE(s.retry->honour_retry_after);
  CHECK(s.circuit_breaker->open_for == 1h);
  CHECK(s.circuit_breaker->failure_rate == 0.5);  // of the defaults, member by member
  REQUIRE(s.circuit_breaker->recovery);
  REQUIRE(s.circuit_breaker->recovery->steps.size() == 2);
  CHECK(s.circuit_breaker->recovery->steps[1].share == 1.0);
  CHECK(s.circuit_breaker->recovery->failed_step == hf::recovery_ramp::on_failure::open);
  CHECK(s.bulkhead->limit == 5);
  CHECK(s.bulkhead->order == hf::queue_order::codel);
  CHECK(s.rate_limiter->period == 1min);
  CHECK(s.rate_limiter->algorithm == hf::limiter_algorithm::sliding_window);
  CHECK(s.retry_budget->mode == hf::budget_mode::tokens);
  CHECK(s.throttle->multiplier == 1.1);
  CHECK(s.adaptive_limit->algorithm == hf::limit_algorithm::vegas);
  CHECK(s.hedge->percentile == 0.95);
  CHECK(s.load_shedder->signal == hf::overload_signal::latency);
  CHECK_FALSE(c.services.at("mail").timeout);  // the registry gives it the default
  const hf::registry r(c);
  CHECK(r.timeout("mail").after == 2s);
  CHECK(r.breaker("gpt-4").name() == "gpt-4");
}

TEST_CASE("every option that there is can be read", "[configuration]") {
  // By its text: what describe() prints of a service is what it was given.
  const hf::registry r(hf::read_configuration(R"({"services": {"x": {
      "timeout": {}, "retry": {}, "circuit_breaker": {}, "bulkhead": {}, "rate_limiter": {},
      "retry_budget": {}, "throttle": {}, "adaptive_limit": {}, "hedge": {},
      "load_shedder": {}, "chaos": {}}}})"));
  const hf::registry structs({.services = {{"x", test::every_policy()}}});
  CHECK(r.describe() == structs.describe());
}

TEST_CASE("a rehearsal is configured, and switched on by the program", "[configuration][chaos]") {
  const std::string_view text = R"({"services": {"gpt-4": {"chaos": {"seed": 7, "rules": [
      {"first_attempt": 3, "last_attempt": 7, "fault": "connection_reset"},
      {"rate": 0.25, "from": "10s", "until": "1m",
       "delay": {"kind": "uniform", "base": "1s", "cap": "2s"}},
      {"rate": 0.5, "hang": true}]}}}})";
  const auto c = hf::read_configuration(text);
  const hf::chaos_options& o = *c.services.at("gpt-4").chaos;
  CHECK(o.seed == 7);
  REQUIRE(o.rules.size() == 3);
  CHECK(o.rules[0].first_attempt == 3);
  CHECK(o.rules[0].last_attempt == 7);
  REQUIRE(o.rules[0].fault);
  CHECK(o.rules[0].fault->code() == boost::asio::error::connection_reset);
  CHECK(o.rules[1].delay.kind == hf::chaos_delay_kind::uniform);
  CHECK(o.rules[1].delay.cap == 2s);
  CHECK(o.rules[1].from == 10s);
  CHECK_FALSE(o.rules[1].fault);
  CHECK(o.rules[2].hang);

  hf::registry r(c);
  const hf::chaos chaos = r.chaos("gpt-4");
  CHECK_FALSE(chaos.enabled());
  CHECK(chaos.name() == "gpt-4");
  CHECK(r.chaos("gpt-4").core() == chaos.core());
  hf::chaos(chaos).enable();
  CHECK(r.snapshot_of("gpt-4").chaos->enabled);
  hf::configuration other = c;
  other.services.at("gpt-4").chaos->rules[0].fault = hf::errc::rate_limited;
  CHECK(r.apply(other) ==
        lines{"gpt-4.chaos.rules[0].fault: connection_reset -> holdfast:7 (the rate limit is "
              "reached)"});
  CHECK(chaos.enabled());

  CHECK(faults_of("chaos", R"("enabled": true)") ==
        lines{"services.x.chaos.enabled: is not known; known are seed, rules"});
  CHECK(faults_of("chaos", R"("rules": [{"fault": "reset"}, {"rate": 2, "hang": true}])") ==
        lines{"services.x.chaos.rules[0].fault: must be one of broken_pipe, connection_aborted, "
              "connection_refused, connection_reset, end_of_file, host_not_found, "
              "host_unreachable, network_down, network_unreachable, timed_out, try_again, is "
              "\"reset\"",
              "services.x.chaos.rules[1].rate = 2: must be more than 0 and at most 1"});
}

TEST_CASE("what JSON does not say is as in the base", "[configuration]") {
  hf::configuration base;
  base.services["x"].circuit_breaker = {.opens_if = [](const hf::breaker_window&) { return true; },
                                        .open_for = 7s};
  const auto c = hf::read_configuration(
      R"({"services": {"x": {"circuit_breaker": {"minimum_calls": 3}}}})", base);
  CHECK(c.services.at("x").circuit_breaker->minimum_calls == 3);
  CHECK(c.services.at("x").circuit_breaker->open_for == 7s);
  CHECK(c.services.at("x").circuit_breaker->opens_if);
  CHECK(faults_of("circuit_breaker", R"("opens_if": "always")") ==
        lines{"services.x.circuit_breaker.opens_if: is a function: JSON cannot say it, the program "
              "can"});
}

TEST_CASE("durations", "[configuration]") {
  const auto after = [](std::string_view text) {
    return hf::read_configuration(R"({"defaults": {"timeout": {"after": ")" + std::string(text) +
                                  "\"}}}")
        .defaults.timeout->after;
  };
  CHECK(after("250ms") == 250ms);
  CHECK(after("2s") == 2s);
  CHECK(after("1m30s") == 90s);
  CHECK(after("1h") == 1h);
  CHECK(after("1h2m3s4ms5us6ns") == 1h + 2min + 3s + 4ms + 5us + 6ns);
  CHECK(after("1h5ns") == 1h + 5ns);
  CHECK(after("9223372036s") == 9223372036s);
  for (const char* bad : {"\"\"", "\"2\"", "2", "\"2 s\"", "\"-2s\"", "\"2S\"", "\"s\"", "\"1.5s\"",
                          "\"30s1m\"", "\"1s1s\"", "\"2x\"", "\"9223372037s\"", "\"s2\"", "null",
                          "\"99999999999999999999s\"", "\"2562047h99m\""}) {
    CAPTURE(bad);
    const lines found = faults_of("timeout", std::string(R"("after": )") + bad);
    REQUIRE(found.size() == 1);
    CHECK(found[0] == std::string("services.x.timeout.after: must be a duration such as "
                                  "\"250ms\", \"1m30s\" or \"1h\", is ") + bad);
  }
}

TEST_CASE("every fault is told with its place, all at once", "[configuration]") {
  CHECK(faults(R"({
    "service": {},
    "defaults": {"bulkhead": {"limit": 0}},
    "services": {
      "gpt-4": {"timout": {}, "bulkhead": {"limit": -1, "limt": 3, "order": "last"}},
      "mail": {"retry": {"wait": {"base": 5}, "honour_retry_after": "yes"}, "hedge": [],
               "circuit_breaker": {"open_for": "0s", "failure_rate": "half",
                                   "recovery": {"steps": [{"share": 2}, 7]}}},
      "sms": 5
    }})") ==
        lines{"service: is not known; did you mean services?",
              "services.gpt-4.bulkhead.limit: must be a whole number from 0 to 4294967295, is -1",
              "services.gpt-4.bulkhead.order: must be one of fifo, lifo, priority, codel, is "
              "\"last\"",
              "services.gpt-4.bulkhead.limt: is not known; did you mean limit?",
              "services.gpt-4.timout: is not known; did you mean timeout?",
              "services.mail.retry.wait.base: must be a duration such as \"250ms\", \"1m30s\" or "
              "\"1h\", is 5",
              "services.mail.retry.honour_retry_after: must be true or false, is \"yes\"",
              "services.mail.circuit_breaker.failure_rate: must be a number, is \"half\"",
              "services.mail.circuit_breaker.recovery.steps[1]: must be an object, is 7",
              "services.mail.hedge: must be an object, is []",
              "services.sms: must be an object, is 5",
              "defaults.bulkhead.limit = 0: must be at least 1",
              "services.gpt-4.bulkhead.limit = 0: must be at least 1",
              "services.mail.circuit_breaker.open_for = 0s: must be at least 1ns",
              "services.mail.circuit_breaker.recovery.steps[0].share = 2: must be more than 0 and "
              "at most 1"});
}

TEST_CASE("whole numbers are whole and fit", "[configuration]") {
  for (const char* bad : {"1.5", "4294967296", "-1", "1e30", "\"5\"", "null", "true"}) {
    CAPTURE(bad);
    CHECK(faults_of("bulkhead", std::string(R"("limit": )") + bad).size() == 1);
  }
  CHECK(faults_of("bulkhead", R"("limit": 5.0)").empty());
}

TEST_CASE("a key that resembles none lists those that there are", "[configuration]") {
  CHECK(faults_of("throttle", R"("colour": 1)") ==
        lines{"services.x.throttle.colour: is not known; known are multiplier, window, "
              "min_per_second, max_rejection"});
}

TEST_CASE("syntax errors have a line and a column", "[configuration]") {
  const auto one = [](std::string_view json) {
    const lines found = faults(json);
    REQUIRE(found.size() == 1);
    return found[0];
  };
  CHECK_THAT(one("{\n  \"services\": }"), ContainsSubstring("line 2, column "));
  CHECK_THAT(one("{"), ContainsSubstring("incomplete"));
  CHECK_THAT(one(""), ContainsSubstring("incomplete"));
  CHECK_THAT(one("{} x"), ContainsSubstring("line 1, column "));
  CHECK(one("[]") == "configuration: must be an object, is []");
}

TEST_CASE("a configuration that was read is applied", "[configuration]") {
  const auto text = [](const char* open_for) {
    return R"({"services": {"gpt-4": {"circuit_breaker": {"open_for": ")" + std::string(open_for) +
           "\"}}}}";
  };
  hf::registry r(hf::read_configuration(text("30s")));
  CHECK(r.apply(hf::read_configuration(text("1m"))) ==
        lines{"gpt-4.circuit_breaker.open_for: 30s -> 60s"});
}
