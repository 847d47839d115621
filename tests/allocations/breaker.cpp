// SPDX-License-Identifier: BSL-1.0
// No form of the circuit breaker allocates memory for a call, except for a change of its state.
#include <boost/asio/awaitable.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/detail/breaker_cell.hpp>
#include <holdfast/resilient.hpp>
#include <memory>

#include "../support/allocations_of.hpp"

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::verdict;
using hf::detail::breaker_permit;

/// Allocations of a thousand calls, of which every third ends as `other`.
template <class Breaker>
std::uint64_t count(Breaker& b, verdict other, hf::time_point from) {
  std::uint64_t before = 0;
  for (int i = 0; i < 1100; ++i) {
    if (i == 100) before = support::allocations();
    const auto now = from + i * 1ms;
    breaker_permit permit;
    if (b.try_enter(permit, now)) b.leave(permit, i % 3 ? verdict::success : other, now);
  }
  return support::allocations() - before;
}

hf::circuit_breaker_options quiet() {
  return {.consecutive_failures = 1000, .failure_rate = 0.9, .minimum_calls = 20};
}

}  // namespace

TEST_CASE("allocations: circuit breaker, closed, good and bad calls") {
  const auto other = GENERATE(verdict::success, verdict::failure, verdict::slow, verdict::neutral);
  auto o = quiet();
  SECTION("a window of time") {}
  SECTION("calls in flight") { o.slow_after = 5s; }
  SECTION("a window of calls") { o.window_calls = 50; }
  SECTION("a predicate") { o.opens_if = [](const auto& w) { return w.bad > w.calls; }; }
  hf::circuit_breaker b(o);
  CHECK(count(*b.core(), other, hf::time_point(1h)) == 0);
  CHECK(b.state() == hf::breaker_state::closed);
}

TEST_CASE("allocations: circuit breaker of a family, closed") {
  const auto other = GENERATE(verdict::success, verdict::failure);
  const auto rules =
      std::make_unique<hf::detail::breaker_rules>(quiet(), hf::detail::breaker_size::compact);
  hf::detail::breaker_cell b(*rules);
  CHECK(count(b, other, hf::time_point(1h)) == 0);
}

TEST_CASE("allocations: circuit breaker, half-open and recovering") {
  auto o = quiet();
  o.consecutive_failures = 1;
  o.open_for = 1ms;
  o.half_open_calls = 100'000;
  o.recovery = hf::recovery_ramp{.steps = {{.share = 0.5, .minimum_calls = 100'000}}};
  const bool recovering = GENERATE(false, true);
  if (recovering) o.half_open_calls = 1;
  hf::circuit_breaker b(o);
  breaker_permit permit;
  REQUIRE(b.core()->try_enter(permit, hf::time_point(1h)));
  b.core()->leave(permit, verdict::failure, hf::time_point(1h));
  CHECK(count(*b.core(), verdict::neutral, hf::time_point(2h)) == 0);
  CHECK(b.state() ==
        (recovering ? hf::breaker_state::recovering : hf::breaker_state::half_open));
}

TEST_CASE("allocations: circuit breaker in a pipeline, with everything on") {
  auto o = quiet();
  o.slow_rate = 0.5;
  o.slow_after = 5s;
  const hf::circuit_breaker b(o);
  const auto pipe = hf::pipeline().with(b);
  const auto call = []() -> asio::awaitable<int> { co_return 1; };
  CHECK(support::allocations_of([&] { return pipe(call); }) == 0);
}

TEST_CASE("allocations: a family of circuit breakers, once it knows the keys") {
  const hf::breaker_family family({.breaker = quiet()});
  const auto pipe = hf::pipeline().with(family);
  const auto call = []() -> asio::awaitable<int> { co_return 1; };
  constexpr std::string_view tenants[] = {
      "a tenant", "another", "one whose name is too long to be kept in a small string's place"};
  const auto operation = [&](int i) {
    return pipe(call, {.tenant = tenants[static_cast<std::size_t>(i) % 3]});
  };
  CHECK(support::allocations_of(operation) == 0);
  CHECK(family.snapshot().keys == 3);
}
