// SPDX-License-Identifier: BSL-1.0
// What a circuit breaker refuses as an option, and how it prints what it took.
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>
#include <limits>

namespace hf = holdfast;
using namespace std::chrono_literals;
using o = hf::circuit_breaker_options;
using list = std::vector<std::string>;

namespace {

list faults(const o& options) {
  try {
    hf::circuit_breaker b(options);
  } catch (const hf::invalid_options& e) {
    return e.faults();
  }
  return {};
}

list of_step(hf::recovery_step s) {
  return faults({.recovery = hf::recovery_ramp{.steps = {{.share = 0.1}, s}}});
}

std::string text(o options) {
  options.name = "x";
  return hf::pipeline().with(hf::circuit_breaker(std::move(options))).describe();
}

}  // namespace

TEST_CASE("circuit breaker: options of rates and windows", "[options]") {
  CHECK(faults({.slow_rate = 1.5}) == list{"slow_rate = 1.5: must be between 0 and 1"});
  CHECK(faults({.slow_after = -1ms}) == list{"slow_after = -1ms: must be at least 0s"});
  CHECK(faults({.slow_after = hf::duration::max()}).empty());
  CHECK(faults({.window_calls = 10'001}) ==
        list{"window_calls = 10001: must be between 0 and 10000"});
  CHECK(faults({.window_calls = 10'000}).empty());
  CHECK(faults({.window_calls = 19}) ==
        list{"minimum_calls = 20: must be at most window_calls (19)"});
  CHECK(faults({.consecutive_failures = 0, .slow_rate = 0.5}).empty());
  CHECK(faults({.consecutive_failures = 0, .opens_if = [](auto&) { return false; }}).empty());
}

TEST_CASE("circuit breaker: each bound of an option may be reached, and not passed", "[options]") {
  CHECK(faults({.failure_rate = 1.5}) == list{"failure_rate = 1.5: must be between 0 and 1"});
  CHECK(faults({.window = 9ns}) == list{"window = 9ns: must be at least 10ns"});
  CHECK(faults({.window = 10ns}).empty());
  CHECK(faults({.minimum_calls = 0}) == list{"minimum_calls = 0: must be at least 1"});
  CHECK(faults({.minimum_calls = 1}).empty());
  CHECK(faults({.open_for = 0ns}) == list{"open_for = 0s: must be at least 1ns"});
  CHECK(faults({.open_for = 1ns}).empty());
  CHECK(faults({.half_open_probes = 0}) ==
        list{"half_open_probes = 0: must be between 1 and 10000"});
  CHECK(faults({.half_open_probes = 10'000}).empty());
  CHECK(faults({.half_open_probes = 10'001}).size() == 1);
  CHECK(faults({.successes_to_close = 0}) == list{"successes_to_close = 0: must be at least 1"});
  CHECK(faults({.probe_lease = 0ns}) == list{"probe_lease = 0s: must be at least 1ns"});
  CHECK(faults({.probe_lease = 1ns}).empty());
  CHECK(faults({.recovery = hf::recovery_ramp{.steps = std::vector<hf::recovery_step>(100)}})
            .empty());
  CHECK(faults({.recovery = hf::recovery_ramp{.steps = {{.share = 0}}}}) ==
        list{"recovery.steps[0].share = 0: must be more than 0 and at most 1"});
}

TEST_CASE("circuit breaker: a rule that can open it is needed", "[options]") {
  CHECK(faults({.consecutive_failures = 0}) ==
        list{"consecutive_failures = 0: no rule can open the circuit: set it, failure_rate, "
             "slow_rate or opens_if"});
}

TEST_CASE("circuit breaker: who is refused is told by its name", "[options]") {
  CHECK_THROWS_WITH(hf::circuit_breaker({.name = "x", .open_for = 0s}),
                    Catch::Matchers::StartsWith("circuit breaker 'x': "));
  CHECK_THROWS_WITH(hf::circuit_breaker({.open_for = 0s}),
                    Catch::Matchers::StartsWith("circuit breaker: "));
}

TEST_CASE("circuit breaker: options of the open time and of probes", "[options]") {
  CHECK(faults({.open_growth = 0.5}) == list{"open_growth = 0.5: must be between 1 and 1000"});
  CHECK(faults({.open_growth = std::numeric_limits<double>::quiet_NaN()}).size() == 1);
  CHECK(faults({.open_for = 1h, .open_growth = 2}) ==
        list{"max_open_for = 600s: must be at least 3600s"});
  CHECK(faults({.open_for = 1h}).empty());
  CHECK(faults({.open_jitter = 1.1}) == list{"open_jitter = 1.1: must be between 0 and 1"});
  CHECK(faults({.max_retry_after = -1s}) == list{"max_retry_after = -1s: must be at least 0s"});
  CHECK(faults({.half_open_failure_rate = 0}) ==
        list{"half_open_failure_rate = 0: must be more than 0 and at most 1"});
  CHECK(faults({.probe_timeout = -1s}) == list{"probe_timeout = -1s: must be at least 0s"});
}

TEST_CASE("circuit breaker: options of the recovery", "[options]") {
  CHECK(faults({.recovery = hf::recovery_ramp{}}).empty());
  CHECK(faults({.recovery = hf::recovery_ramp{.steps = {}}}) ==
        list{"recovery.steps = 0 steps: must be 1 to 100 steps"});
  CHECK(faults({.recovery = hf::recovery_ramp{.steps = std::vector<hf::recovery_step>(101)}})
            .size() == 1);
  CHECK(of_step({.share = 0}) ==
        list{"recovery.steps[1].share = 0: must be more than 0 and at most 1"});
  CHECK(of_step({.share = 1.01}).size() == 1);
  CHECK(of_step({.minimum_calls = 0}) ==
        list{"recovery.steps[1].minimum_calls = 0: must be at least 1"});
  CHECK(of_step({.failure_rate = 0}).size() == 1);
  CHECK(of_step({.at_least = -1s}) ==
        list{"recovery.steps[1].at_least = -1s: must be at least 0s"});
  CHECK(of_step({.share = 0, .minimum_calls = 0, .failure_rate = 2, .at_least = -1s}).size() == 4);
}

TEST_CASE("circuit breaker: prints every option", "[describe]") {
  CHECK(
      text({.consecutive_failures = 2,
            .failure_rate = 0.5,
            .slow_rate = 0.8,
            .slow_after = 2s,
            .slow_counts_as_failure = false,
            .opens_if = [](auto&) { return false; },
            .window = 30s,
            .minimum_calls = 10,
            .open_for = 5s,
            .open_growth = 2,
            .max_open_for = 60s,
            .open_jitter = 0.1,
            .max_retry_after = 90s,
            .half_open_probes = 2,
            .half_open_calls = 10,
            .half_open_failure_rate = 0.3,
            .probe_timeout = 500ms,
            .probe_lease = 9s,
            .recovery = hf::recovery_ramp{.steps = {{.share = 0.5}, {.share = 1}}}}) ==
      "circuit_breaker 'x': opens after 2 failures in a row or at 50 % failures of at least 10 "
      "calls "
      "within 30s or at 80 % slow calls of at least 10 calls within 30s or as a predicate says of "
      "at "
      "least 10 calls within 30s for 5s, each time 2 times longer up to 60s, of which 10 % are "
      "random, retry-after up to 90s; slow after 2s; slow calls are no failures; 2 at a time as "
      "probe, leased for 9s, timeout 500ms, 10 of them close it below 30 % failures; then in "
      "steps: "
      "50 % for 1s and 5 calls below 50 % failures, 100 % for 1s and 5 calls below 50 % failures, "
      "back one step on a failed one\n");
  CHECK(text({}) ==
        "circuit_breaker 'x': opens after 5 failures in a row for 30s; 1 at a time as probe, "
        "leased for 60s, 1 in a row close it\n");
  CHECK(text({.consecutive_failures = 0,
              .failure_rate = 0.25,
              .window_calls = 50,
              .max_retry_after = 0s}) ==
        "circuit_breaker 'x': opens at 25 % failures of at least 20 of the last 50 calls for 30s, "
        "retry-after ignored; 1 at a time as probe, leased for 60s, 1 in a row close it\n");
  CHECK(text({.consecutive_failures = 1,
              .recovery = hf::recovery_ramp{.steps = {{.share = 1}},
                                            .failed_step = hf::recovery_ramp::on_failure::open}})
            .ends_with("below 50 % failures, opening on a failed step\n"));
}
