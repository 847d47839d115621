// SPDX-License-Identifier: BSL-1.0
// Bugs of registries that others had.
#include <catch2/catch_all.hpp>
#include <fmt/format.h>
#include <holdfast/registry.hpp>
#include <memory>
#include <stdexcept>
#include <utility>

namespace hf = holdfast;
using namespace std::chrono_literals;

namespace {

constexpr hf::time_point start{1h};

hf::configuration with_open_for(hf::duration d) {
  return {.services = {{"gpt-4",
                        {.circuit_breaker = {{.consecutive_failures = 2, .open_for = d}}}}}};
}

void fail(const hf::circuit_breaker& b, hf::time_point now) {
  hf::detail::breaker_permit permit;
  REQUIRE(b.core()->try_enter(permit, now));
  b.core()->leave(permit, hf::verdict::failure, now);
}

}  // namespace

TEST_CASE("bug 56: names from outside make nothing", "[conformance]") {
  const hf::registry r({.defaults = {.bulkhead = hf::bulkhead_options()},
                        .services = {{"mail", {}}}});
  for (int i = 0; i < 1000; ++i) {
    CHECK_THROWS_AS(r.bulkhead(fmt::format("tenant-{}", i)), std::out_of_range);
    CHECK_THROWS_AS(r.snapshot_of(fmt::format("tenant-{}", i)), std::out_of_range);
  }
  CHECK(r.size() == 1);
  CHECK(r.snapshot().size() == 1);
}

TEST_CASE("bug 56: one configuration after the other makes no second object", "[conformance]") {
  hf::registry r(with_open_for(1s), start);
  const auto core = r.breaker("gpt-4").core();
  int heard = 0;
  {
    const auto subscription =
        r.breaker("gpt-4").on_transition([&](const hf::breaker_transition&) { ++heard; });
    for (int i = 1; i < 1000; ++i) r.apply(with_open_for(i * 1s), start);
    CHECK(r.breaker("gpt-4").core() == core);
    r.breaker("gpt-4").isolate(start);
    CHECK(heard == 1);  // the listener is still the one, and there is one
  }
  r.breaker("gpt-4").reset(start);
  CHECK(heard == 1);
}

TEST_CASE("bug 56: nothing outlives the registry but what was handed out", "[conformance]") {
  std::weak_ptr<hf::detail::breaker_core> forgotten;
  std::weak_ptr<hf::detail::breaker_core> held;
  const auto handle = [&] {
    hf::registry r({.defaults = {.circuit_breaker = hf::circuit_breaker_options()},
                    .services = {{"a", {}}, {"b", {}}}});
    forgotten = r.breaker("a").core();
    held = r.breaker("b").core();
    return r.breaker("b");
  }();
  CHECK(forgotten.expired());
  CHECK(handle.core() == held.lock());
}

TEST_CASE("bug 57: a breaker is not closed by a replaced configuration", "[conformance]") {
  hf::registry r(with_open_for(30s), start);
  const hf::circuit_breaker b = r.breaker("gpt-4");
  fail(b, start);
  SECTION("what was counted is not forgotten") {
    r.apply(with_open_for(60s), start + 1s);
    CHECK(b.state() == hf::breaker_state::closed);
    fail(b, start + 2s);  // the second in a row
    CHECK(b.state() == hf::breaker_state::open);
    CHECK(b.remaining_open(start + 2s) == 60s);
  }
  SECTION("an open one stays open, until its time") {
    fail(b, start);
    REQUIRE(b.state() == hf::breaker_state::open);
    r.apply(with_open_for(60s), start + 1s);
    CHECK(b.state() == hf::breaker_state::open);
    CHECK(b.remaining_open(start + 1s) == 29s);
    CHECK(r.breaker("gpt-4").core() == b.core());
  }
  SECTION("probes keep their places") {
    fail(b, start);
    hf::detail::breaker_permit probe;
    hf::detail::breaker_permit second;
    REQUIRE(b.core()->try_enter(probe, start + 30s));
    r.apply(with_open_for(60s), start + 31s);
    CHECK(b.state() == hf::breaker_state::half_open);
    CHECK_FALSE(b.core()->try_enter(second, start + 31s));
    b.core()->leave(probe, hf::verdict::success, start + 32s);
    CHECK(b.state() == hf::breaker_state::closed);
  }
  SECTION("nor by one that does not name it any more") {
    fail(b, start);
    r.apply({}, start + 1s);
    CHECK(r.breaker("gpt-4").state() == hf::breaker_state::open);
  }
  SECTION("nor is an isolation ended") {
    hf::circuit_breaker(b).isolate(start);
    r.apply(with_open_for(60s), start + 1s);
    CHECK(b.state() == hf::breaker_state::isolated);
  }
}
