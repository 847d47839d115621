// SPDX-License-Identifier: BSL-1.0
// A family of breakers in a pipeline.
#include <boost/asio/error.hpp>
#include <catch2/catch_all.hpp>
#include <string>

#include "../support/stage.hpp"
#include "../sweep/sweep.hpp"

namespace {

using test::stage;
namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

auto fails = []() -> asio::awaitable<hf::result<int>> {
  co_return hf::failure(asio::error::connection_reset);
};
auto works = []() -> asio::awaitable<int> { co_return 1; };

}  // namespace

TEST_CASE("a tenant whose calls fail is refused, the others are not", "[breaker_family]") {
  stage s;
  const hf::breaker_family family({.breaker = {.name = "search", .consecutive_failures = 2,
                                               .open_for = 10s}});
  const auto guard = hf::pipeline().with(family);
  s.play([&]() -> asio::awaitable<void> {
    for (int i = 0; i < 2; ++i) std::ignore = co_await guard(fails, {.tenant = "acme"});
    hf::result<int> acme = co_await guard(works, {.tenant = "acme"});
    REQUIRE(acme.has_error());
    CHECK(acme.error().code() == hf::errc::circuit_open);
    CHECK(acme.error().policy() == hf::policy_kind::circuit_breaker);
    CHECK(acme.error().policy_name() == "search");
    CHECK(acme.error().retry_after() == 10s);
    hf::result<int> other = co_await guard(works, {.tenant = "other"});
    CHECK(other.has_value());
    hf::result<int> nobody = co_await guard(works);
    CHECK(nobody.has_value());
    CHECK(family.state("") == hf::breaker_state::closed);
    CHECK(family.state("acme") == hf::breaker_state::open);
    CHECK(family.snapshot().keys == 3);

    co_await hf::sleep_for(10s);
    hf::result<int> probe = co_await guard(works, {.tenant = "acme"});
    CHECK(probe.has_value());
    CHECK(family.state("acme") == hf::breaker_state::closed);
  });
}

TEST_CASE("a key isolated by hand is refused as that", "[breaker_family]") {
  stage s;
  hf::breaker_family family;
  family.isolate("acme", s.time.now());
  s.play([&]() -> asio::awaitable<void> {
    hf::result<int> r = co_await hf::pipeline().with(family)(works, {.tenant = "acme"});
    REQUIRE(r.has_error());
    CHECK(r.error().code() == hf::errc::circuit_isolated);
    CHECK_FALSE(r.error().retry_after());
  });
}

TEST_CASE("calls for which there is no room pass unguarded, and are counted", "[breaker_family]") {
  stage s;
  hf::breaker_family family({.max_keys = 1});
  family.isolate("acme", s.time.now());
  s.play([&]() -> asio::awaitable<void> {
    hf::result<int> r = co_await hf::pipeline().with(family)(works, {.tenant = "other"});
    CHECK(r.has_value());
  });
  CHECK(family.snapshot().unguarded == 1);
  CHECK(family.snapshot().keys == 1);
}

TEST_CASE("a probe has the deadline of its own, of a family too", "[breaker_family]") {
  stage s;
  const hf::breaker_family family(
      {.breaker = {.consecutive_failures = 1, .open_for = 1s, .probe_timeout = 100ms}});
  const auto guard = hf::pipeline().with(family).with(hf::timeout{5s});
  const auto slow = [](hf::call_context& ctx) -> asio::awaitable<int> {
    co_await hf::sleep_for(1min, ctx.token());
    co_return 1;
  };
  s.play([&]() -> asio::awaitable<void> {
    std::ignore = co_await guard(fails);
    co_await hf::sleep_for(1s);
    const hf::time_point began = s.time.now();
    hf::result<int> r = co_await guard(slow);
    REQUIRE(r.has_error());
    CHECK(r.error().code() == hf::errc::attempt_timeout);
    CHECK(s.time.now() - began < 200ms);
  });
}

TEST_CASE("a family describes itself", "[describe]") {
  CHECK(hf::pipeline()
            .with(hf::breaker_family({.breaker = {.name = "x"}, .max_keys = 5}))
            .describe()
            .starts_with("for each of at most 5 keys, idle after 600s: circuit_breaker 'x': "));
}

namespace {

/// A family for each run, whose breakers must all be out of use when the next begins.
struct rested_family {
  ~rested_family() { check_at_rest(); }
  void renew(hf::time_point now) {
    check_at_rest();
    family = hf::breaker_family({.breaker = {.consecutive_failures = 1, .open_for = 1ms}});
    began = now;
  }
  void check_at_rest() {
    family.reset("acme");
    family.forget_idle(began + 1h);
    CHECK(family.snapshot().keys == 0);
  }
  hf::breaker_family family;
  hf::time_point began{};
};

template <class Pipeline>
struct of_acme {
  Pipeline pipe;
  template <class Call>
  auto operator()(Call call) const {
    return pipe(std::move(call), {.tenant = "acme"});
  }
};
template <class Pipeline>
of_acme(Pipeline) -> of_acme<Pipeline>;

}  // namespace

TEST_CASE("cancellation sweep: a family of breakers, with a retry around it") {
  rested_family f;
  const auto prepare = [&f](sweep::world& w) { f.renew(w.time->now()); };
  const auto subject = [&f](sweep::world&) {
    return of_acme{hf::pipeline().with(f.family).with(
        hf::retry{.max_attempts = 3, .wait = {.base = 2ms, .jitter = hf::jitter::none}})};
  };
  SECTION("good at once") {
    sweep::sweep_all({.name = "good", .acts = {{.lasts = 2ms}}, .prepare = prepare}, subject);
  }
  SECTION("a probe after a failure") {
    sweep::sweep_all({.name = "probe",
               .acts = {{.lasts = 1ms, .fails = true}, {.lasts = 1ms}},
               .prepare = prepare},
              subject);
  }
}
