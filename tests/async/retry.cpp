// SPDX-License-Identifier: BSL-1.0
// The retry in pipelines, in virtual time: what it repeats, when, and for how long it waits.
#include <algorithm>
#include <boost/asio/error.hpp>
#include <holdfast/time/sleep_for.hpp>
#include <tuple>
#include <vector>

#include "../support/stage.hpp"

namespace {

using test::asio::awaitable;
using test::stage;
namespace asio = test::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

/// Fails always, and notes when it is called.
struct failing {
  explicit failing(stage& s) : on(s) {}

  auto operator()() {
    times.push_back(on.elapsed());
    return [](hf::failure f) -> awaitable<hf::result<int>> { co_return f; }(why);
  }
  std::vector<hf::duration> delays() const {
    std::vector<hf::duration> d;
    for (std::size_t i = 1; i < times.size(); ++i) d.push_back(times[i] - times[i - 1]);
    return d;
  }

  stage& on;
  hf::failure why{asio::error::connection_reset};
  std::vector<hf::duration> times;
};

/// One operation of a retry alone, of a call that fails.
void play(stage& s, failing& call, const hf::retry& options, hf::call_options how = {}) {
  const auto pipe = hf::pipeline().with(options);
  s.play([&]() -> awaitable<void> {
    const auto r = co_await pipe([&] { return call(); }, how);
    CHECK(r.has_error());
  });
}

constexpr hf::backoff every_second{
    .kind = hf::backoff_kind::constant, .base = 1s, .jitter = hf::jitter::none};

auto works = []() -> awaitable<int> { co_return 7; };

}  // namespace

TEST_CASE("retry: what may have been done is not done twice, unless that is no harm", "[retry]") {
  const auto attempts_after = [](hf::failure f, bool idempotent) {
    stage s;
    failing call(s);
    call.why = std::move(f);
    play(s, call, {.wait = every_second}, {.idempotent = idempotent});
    return call.times.size();
  };
  for (const boost::system::error_code code :
       {asio::error::make_error_code(asio::error::connection_refused),
        asio::error::make_error_code(asio::error::host_unreachable),
        asio::error::make_error_code(asio::error::network_unreachable),
        asio::error::make_error_code(asio::error::host_not_found),
        asio::error::make_error_code(asio::error::host_not_found_try_again)}) {
    INFO(code.message());
    CHECK(attempts_after(code, false) == 3);  // nothing was sent
  }
  CHECK(attempts_after(asio::error::make_error_code(asio::error::connection_reset), false) == 1);
  CHECK(attempts_after(asio::error::make_error_code(asio::error::connection_reset), true) == 3);
}

TEST_CASE("retry: the last attempt begins when the time is up, not after", "[retry]") {
  stage s;
  failing call(s);
  play(s, call, {.max_attempts = 10, .max_elapsed = 2s, .wait = every_second});
  CHECK(call.times == std::vector<hf::duration>{0s, 1s, 2s});
}

TEST_CASE("retry: decorrelated delays grow with the last one", "[retry]") {
  stage s;
  failing call(s);
  play(s, call,
       {.max_attempts = 20,
        .wait = {.base = 1s, .cap = 1h, .jitter = hf::jitter::decorrelated}});
  const auto delays = call.delays();
  CHECK(delays.front() <= 3s);
  CHECK(std::ranges::max(delays) > 3s);  // but for one seed in many thousands
  for (std::size_t i = 1; i < delays.size(); ++i) CHECK(delays[i] <= 3 * delays[i - 1]);
}

TEST_CASE("retry: after a hint the calls come back over an eighth of it", "[retry]") {
  stage s;
  failing call(s);
  call.why.with_retry_after(80s);
  play(s, call, {.max_attempts = 500, .wait = {.base = 1s}, .max_retry_after = 80s});
  const auto delays = call.delays();
  REQUIRE(delays.size() == 499);
  CHECK(std::ranges::min(delays) >= 80s);
  CHECK(std::ranges::max(delays) > 89s);
  CHECK(std::ranges::max(delays) <= 90s);
}

TEST_CASE("retry: the jitter of a hint is cut to the time that is left", "[retry]") {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    INFO(seed);
    stage s(seed);
    failing call(s);
    call.why.with_retry_after(4s);
    play(s, call, {.max_attempts = 2, .wait = {.base = 1s}}, {.deadline = s.time.now() + 4200ms});
    REQUIRE(call.times.size() == 2);
    CHECK(call.times[1] >= 4s);
    CHECK(call.times[1] < 4200ms);

    failing elapsed(s);
    elapsed.why.with_retry_after(4s);
    const auto start = s.elapsed();
    play(s, elapsed, {.max_attempts = 2, .max_elapsed = 4s, .wait = {.base = 1s}});
    REQUIRE(elapsed.times.size() == 2);
    CHECK(elapsed.times[1] - start == 4s);
  }
}

TEST_CASE("retry: each link of a chain begins with the first attempt", "[retry]") {
  stage s;
  std::vector<unsigned> seen;
  const auto call = [&](hf::call_context& ctx) -> awaitable<hf::result<int>> {
    seen.push_back(ctx.attempt());
    return [](hf::failure f) -> awaitable<hf::result<int>> { co_return f; }(
               hf::failure(asio::error::connection_reset));
  };
  const hf::retry twice{.max_attempts = 2, .wait = every_second};
  const auto pipe = hf::pipeline().with(twice).fallback(hf::resilient(call).with(twice));
  s.play([&]() -> awaitable<void> { std::ignore = co_await pipe(call); });
  CHECK(seen == std::vector<unsigned>{1, 2, 1, 2});
}

TEST_CASE("retry: waits for an open circuit as long as it may, and asks once", "[retry]") {
  stage s;
  const hf::circuit_breaker breaker({.consecutive_failures = 1, .open_for = 10s});
  const bool nested = GENERATE(false, true);
  const auto allowed = GENERATE(hf::duration(10s), hf::duration(10s - 1ns));
  const hf::retry waits{.wait = {.base = 1s, .jitter = hf::jitter::none},
                        .wait_for_circuit = allowed};
  const auto guarded = hf::pipeline().with(breaker);
  const auto one = guarded.with(waits);
  const auto inner = [&] { return guarded(works); };
  const auto outer = hf::pipeline().with(waits);
  s.play([&]() -> awaitable<void> {
    failing call(s);
    std::ignore = co_await guarded([&] { return call(); });
    if (nested) {
      const auto r = co_await outer(inner);
      CHECK(r.has_value() == (allowed == 10s));
    } else {
      const auto r = co_await one(works);
      CHECK(r.has_value() == (allowed == 10s));
    }
  });
  CHECK(breaker.snapshot(s.time.now()).refused == 1);
  CHECK(s.elapsed() == (allowed == 10s ? 10s : 0s));
}

TEST_CASE("retry: waits for a probe's place without a hot loop", "[retry]") {
  stage s;
  const hf::circuit_breaker breaker({.consecutive_failures = 1, .open_for = 1s});
  const auto guarded = hf::pipeline().with(breaker);
  const auto pipe = guarded.with(hf::retry{.wait = {.base = 0s}, .wait_for_circuit = 1h});
  const auto takes_a_second = []() -> awaitable<int> {
    co_await hf::sleep_for(1s);
    co_return 1;
  };
  s.play([&]() -> awaitable<void> {
    failing call(s);
    std::ignore = co_await guarded([&] { return call(); });
    co_await hf::sleep_for(1s);
    s.start([&]() -> awaitable<void> { co_await test::expect_value(guarded(takes_a_second)); });
    co_await hf::sleep_for(1ms);
    co_await test::expect_answer(pipe(works), 7);
  });
  CHECK(breaker.snapshot(s.time.now()).refused <= 100);
}
