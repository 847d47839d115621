// SPDX-License-Identifier: BSL-1.0
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>
#include <limits>

namespace hf = holdfast;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::UnorderedRangeEquals;

namespace {

/// The faults that a construction is refused with; none if it is not.
template <class Make>
std::vector<std::string> faults(Make make) {
  try {
    make();
  } catch (const hf::invalid_options& e) {
    // What the exception says holds every fault.
    for (const auto& f : e.faults()) CHECK_THAT(e.what(), ContainsSubstring(f));
    return e.faults();
  }
  return {};
}

using list = std::vector<std::string>;

list of(hf::timeout o) {
  return faults([&] { (void)hf::pipeline().with(o); });
}
list of(hf::retry o) {
  return faults([&] { (void)hf::pipeline().with(o); });
}
list of(hf::circuit_breaker_options o) {
  return faults([&] { hf::circuit_breaker b(o); });
}
list of(hf::bulkhead_options o) {
  return faults([&] { hf::bulkhead b(o); });
}

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinite = std::numeric_limits<double>::infinity();

}  // namespace

TEST_CASE("the defaults are valid", "[options]") {
  CHECK(of(hf::timeout{}).empty());
  CHECK(of(hf::retry{}).empty());
  CHECK(of(hf::circuit_breaker_options{}).empty());
  CHECK(of(hf::bulkhead_options{}).empty());
}

TEST_CASE("timeout: every option out of range is refused", "[options]") {
  CHECK(of(hf::timeout{.after = 0s}) == list{"after = 0s: must be at least 1ns"});
  CHECK(of(hf::timeout{.after = -1s}) == list{"after = -1s: must be at least 1ns"});
  CHECK(of(hf::timeout{.grace = -5ms}) == list{"grace = -5ms: must be at least 0s"});
  CHECK(of(hf::timeout{.max_detached = 0}) == list{"max_detached = 0: must be at least 1"});
  CHECK_THAT(of(hf::timeout{.after = 0s, .grace = -1ns, .max_detached = 0}),
             UnorderedRangeEquals(list{"after = 0s: must be at least 1ns",
                                       "grace = -1ns: must be at least 0s",
                                       "max_detached = 0: must be at least 1"}));
  CHECK(of(hf::timeout{.after = hf::duration::max()}).empty());
}

TEST_CASE("retry: every option out of range is refused", "[options]") {
  CHECK(of(hf::retry{.max_attempts = 0}) == list{"max_attempts = 0: must be at least 1"});
  CHECK(of(hf::retry{.max_elapsed = -1s}) == list{"max_elapsed = -1s: must be at least 0s"});
  CHECK(of(hf::retry{.max_retry_after = -1s}) ==
        list{"max_retry_after = -1s: must be at least 0s"});
  CHECK(of(hf::retry{.wait = {.base = -1us}}) == list{"wait.base = -1us: must be at least 0s"});
  CHECK(of(hf::retry{.wait = {.base = 2s, .cap = 1s}}) ==
        list{"wait.cap = 1s: must be at least 2s"});
  CHECK(of(hf::retry{.wait = {.base = 0s, .cap = -1s}}) ==
        list{"wait.cap = -1s: must be at least 0s"});
  for (const double factor : {0.0, 0.999, -2.0, 1e7, not_a_number, infinite, -infinite}) {
    CAPTURE(factor);
    const auto f = of(hf::retry{.wait = {.factor = factor}});
    REQUIRE(f.size() == 1);
    CHECK(f[0].starts_with("wait.factor = "));
  }
  CHECK(of(hf::retry{.wait = {.factor = not_a_number}}) ==
        list{"wait.factor = nan: must be between 1 and 1000000"});
  CHECK(of(hf::retry{.wait = {.factor = 1.0}}).empty());
  CHECK(of(hf::retry{.max_attempts = 0,
                     .max_elapsed = -1s,
                     .wait = {.base = -1s, .cap = -2s, .factor = 0.5},
                     .max_retry_after = -1s})
            .size() == 6);
}

TEST_CASE("circuit breaker: every option out of range is refused", "[options]") {
  using o = hf::circuit_breaker_options;
  for (const double rate : {-0.1, 1.1, not_a_number, infinite}) {
    CAPTURE(rate);
    const auto f = of(o{.failure_rate = rate});
    REQUIRE(f.size() == 1);
    CHECK(f[0].starts_with("failure_rate = "));
    CHECK_THAT(f[0], ContainsSubstring("must be between 0 and 1"));
  }
  CHECK(of(o{.window = 0s}) == list{"window = 0s: must be at least 10ns"});
  CHECK(of(o{.window = -10s}) == list{"window = -10s: must be at least 10ns"});
  CHECK(of(o{.window = 10ns}).empty());
  CHECK(of(o{.minimum_calls = 0}) == list{"minimum_calls = 0: must be at least 1"});
  CHECK(of(o{.open_for = 0s}) == list{"open_for = 0s: must be at least 1ns"});
  CHECK(of(o{.half_open_probes = 0}) ==
        list{"half_open_probes = 0: must be between 1 and 10000"});
  CHECK(of(o{.half_open_probes = 10'001}) ==
        list{"half_open_probes = 10001: must be between 1 and 10000"});
  CHECK(of(o{.successes_to_close = 0}) == list{"successes_to_close = 0: must be at least 1"});
  CHECK(of(o{.probe_lease = 0s}) == list{"probe_lease = 0s: must be at least 1ns"});
  const auto none = of(o{.consecutive_failures = 0, .failure_rate = 0});
  REQUIRE(none.size() == 1);
  CHECK_THAT(none[0], ContainsSubstring("no rule can open the circuit"));
  CHECK(of(o{.consecutive_failures = 0, .failure_rate = 0.5}).empty());
  CHECK(of(o{.failure_rate = 1.0}).empty());
}

TEST_CASE("circuit breaker: all faults come in one exception that names it", "[options]") {
  const hf::circuit_breaker_options o{.name = "gpt-4",
                                      .failure_rate = 2.0,
                                      .window = -1s,
                                      .minimum_calls = 0,
                                      .open_for = -1s,
                                      .half_open_probes = 0,
                                      .successes_to_close = 0,
                                      .probe_lease = -1s};
  CHECK(of(o).size() == 7);
  CHECK_THROWS_WITH(hf::circuit_breaker(o), ContainsSubstring("circuit breaker 'gpt-4': "));
  CHECK_THROWS_AS(hf::circuit_breaker(o), std::invalid_argument);
}

TEST_CASE("bulkhead: every option out of range is refused", "[options]") {
  using o = hf::bulkhead_options;
  CHECK(of(o{.limit = 0}) == list{"limit = 0: must be at least 1"});
  CHECK(of(o{.max_queue_time = -1ms}) == list{"max_queue_time = -1ms: must be at least 0s"});
  CHECK(of(o{.limit = 1'000'000'000, .queue = 1'000'000'000}).empty());
  CHECK(of(o{.limit = 1'000'000'001}) ==
        list{"limit = 1000000001: must be at most 1000000000"});
  CHECK(of(o{.queue = 1'000'000'001}) ==
        list{"queue = 1000000001: must be at most 1000000000"});
  CHECK_THROWS_WITH(hf::bulkhead(o{.limit = 0}), "bulkhead: limit = 0: must be at least 1");
  CHECK(of(o{.limit = 0, .max_queue_time = -1ms}).size() == 2);
  CHECK_THROWS_WITH(hf::bulkhead(o{.name = "db", .limit = 0}), ContainsSubstring("bulkhead 'db'"));
}

TEST_CASE("an outer timeout shorter than an inner one is refused", "[options]") {
  const auto inner = hf::pipeline().with(hf::timeout{2s});
  CHECK_THROWS_WITH(inner.with(hf::timeout{1s}),
                    ContainsSubstring("pipeline: timeout.after = 1s: must not be shorter than the "
                                      "timeout inside it (2s)"));
  CHECK_NOTHROW(inner.with(hf::timeout{2s}));
  CHECK_THROWS_AS(inner.with(hf::retry{}).with(hf::timeout{1999ms}), hf::invalid_options);
}

TEST_CASE("chains and shared policies are checked like pipelines", "[options]") {
  const auto call = []() -> boost::asio::awaitable<int> { co_return 1; };
  CHECK_THROWS_AS(hf::resilient(call).with(hf::timeout{0s}), hf::invalid_options);
  CHECK_THROWS_AS(
      hf::resilient(call).with(std::make_shared<hf::retry>(hf::retry{.max_attempts = 0})),
      hf::invalid_options);
}
