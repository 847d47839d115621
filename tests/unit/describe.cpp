// SPDX-License-Identifier: BSL-1.0
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>
#include <string>

namespace hf = holdfast;
using namespace std::chrono_literals;

TEST_CASE("an empty pipeline prints nothing, a bare chain its call", "[describe]") {
  CHECK(hf::pipeline().describe().empty());
  CHECK(hf::resilient([]() -> boost::asio::awaitable<int> { co_return 1; }).describe() == "call\n");
}

TEST_CASE("a pipeline prints every layer with every option, outermost first", "[describe]") {
  const hf::circuit_breaker breaker({.name = "gpt-4",
                                     .consecutive_failures = 5,
                                     .failure_rate = 0.5,
                                     .window = 10s,
                                     .minimum_calls = 20,
                                     .open_for = 60s,
                                     .half_open_probes = 2,
                                     .successes_to_close = 3,
                                     .probe_lease = 30s});
  const hf::bulkhead bulkhead({.name = "llm", .limit = 25, .queue = 10, .max_queue_time = 1500ms});
  const auto pipe = hf::pipeline()
                        .with(hf::timeout{2s})
                        .with(bulkhead)
                        .with(breaker)
                        .with(hf::retry{.max_attempts = 4,
                                        .max_elapsed = 20s,
                                        .wait = {.base = 50ms, .cap = 5s, .factor = 1.5}})
                        .with(hf::timeout{30s})
                        .fallback(std::string("sorry"),
                                  {.name = "cache", .quality = hf::quality::cached});
  CHECK(pipe.describe() ==
        "fallback 'cache': cached answers\n"
        "timeout: 30s for all attempts\n"
        "retry: at most 4 attempts within 20s, exponential delays from 50ms up to 5s by 1.5, full "
        "jitter, retry-after up to 60s\n"
        "circuit_breaker 'gpt-4': opens after 5 failures in a row or at 50 % failures of at least "
        "20 calls within 10s for 60s; 2 at a time as probe, leased for 30s, 3 in a row close it\n"
        "bulkhead 'llm': at most 25 at once, 10 may wait for 1500ms\n"
        "timeout: 2s for each attempt\n"
        "safe utilisation: 25 %\n");
}

TEST_CASE("the other forms of each policy", "[describe]") {
  const auto with = [](const auto& policy) { return hf::pipeline().with(policy).describe(); };
  CHECK(with(hf::timeout{.after = 250us,
                         .mode = hf::timeout_mode::detach,
                         .grace = 10ms,
                         .max_detached = 7}) ==
        "timeout: 250us for each attempt, then detach after 10ms, at most 7 detached\n");
  CHECK(with(hf::retry{.wait = {.kind = hf::backoff_kind::linear, .jitter = hf::jitter::none},
                       .honour_retry_after = false,
                       .only_if = [](const hf::failure*, hf::verdict) { return true; }}) ==
        "retry: at most 3 attempts, linear delays from 100ms up to 20s, none jitter, retry-after "
        "ignored, only if a predicate agrees\nsafe utilisation: 33.3 %\n");
  CHECK(with(hf::retry{.wait = {.jitter = hf::jitter::decorrelated}}) ==
        "retry: at most 3 attempts, decorrelated delays from 100ms up to 20s, retry-after up to "
        "60s\nsafe utilisation: 33.3 %\n");
  CHECK(with(hf::circuit_breaker({.consecutive_failures = 0, .failure_rate = 0.125})) ==
        "circuit_breaker '': opens at 12.5 % failures of at least 20 calls within 10s for 30s; 1 "
        "at a time as probe, leased for 60s, 1 in a row close it\n");
  CHECK(with(hf::bulkhead({.limit = 3})) == "bulkhead '': at most 3 at once, no queue\n");
  CHECK(with(hf::bulkhead({.limit = 3, .queue = 1})) ==
        "bulkhead '': at most 3 at once, 1 may wait\n");
  CHECK(hf::pipeline()
            .fallback(1, {.on_request_fault = true,
                          .only_if = [](const hf::failure*, hf::verdict) { return true; }})
            .describe() ==
        "fallback 'fallback': degraded answers, on faults of the request too, only if a predicate "
        "agrees\n");
}

TEST_CASE("a pipeline whose calls may not be repeated says so", "[describe]") {
  CHECK(hf::pipeline().with(hf::timeout{1s}).idempotent(false).describe() ==
        "timeout: 1s for each attempt\nnot idempotent: repeated only if nothing has been sent\n");
  CHECK(hf::resilient([]() -> boost::asio::awaitable<int> { co_return 1; })
            .idempotent(false)
            .describe() == "call\nnot idempotent: repeated only if nothing has been sent\n");
}
