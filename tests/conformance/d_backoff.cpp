// SPDX-License-Identifier: BSL-1.0
// Bugs that other libraries shipped, D: backoff. Of row 35 the numbers; how a Retry-After header is
// read is the gateway's.
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <catch2/catch_all.hpp>
#include <limits>
#include <random>
#include <set>

#include "../support/stage.hpp"

using namespace std::chrono_literals;
using namespace test;
using hf::backoff_kind;
using hf::jitter;
using hf::next_delay;

namespace {

constexpr backoff_kind kinds[] = {backoff_kind::constant, backoff_kind::linear,
                                  backoff_kind::exponential};
constexpr jitter jitters[] = {jitter::none, jitter::full, jitter::equal, jitter::decorrelated};

/// Runs a call that always fails with the given hint, and tells when its attempts were.
std::vector<hf::duration> attempts(const hf::retry& retry, std::optional<hf::duration> hint,
                                   std::uint64_t seed = 1) {
  stage s(seed);
  std::vector<hf::duration> at;
  const auto pipe = hf::pipeline().with(retry);
  const auto call = [&]() -> asio::awaitable<hf::result<int>> {
    at.push_back(s.elapsed());
    hf::failure f(asio::error::try_again);
    if (hint) f.with_retry_after(*hint);
    co_return f;
  };
  s.play([&]() -> asio::awaitable<void> {
    const auto r = co_await pipe(call);
    CHECK(r.error().code() == asio::error::try_again);
  });
  return at;
}

}  // namespace

TEST_CASE("bug 32: a million attempts of every kind stay between zero and the cap",
          "[conformance]") {
  std::mt19937_64 random(3);
  for (const auto kind : kinds) {
    for (const auto j : jitters) {
      for (const double factor : {1.0, 2.0, 1e6}) {
        const hf::backoff b{
            .kind = kind, .base = 100ms, .cap = 20s, .factor = factor, .jitter = j};
        hf::duration previous{};
        // Every one of the first two thousand, where an exponent overflows, then in steps.
        bool ok = true;
        for (std::uint64_t n = 1; n <= 1'000'000; n += n < 2000 ? 1 : 97) {
          const hf::duration d = next_delay(b, n, previous, random());
          ok = ok && d >= 0ns && d <= 20s;
          if (n > 10 && kind == backoff_kind::exponential && factor > 1 && j == jitter::none) {
            ok = ok && d == 20s;  // not zero, not the base again
          }
          previous = d;
        }
        CAPTURE(to_string(kind), to_string(j), factor);
        CHECK(ok);
      }
    }
  }
}

TEST_CASE("bug 32: the largest base and cap do not overflow, a base of zero is not the cap",
          "[conformance]") {
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  for (const auto kind : kinds) {
    for (const auto j : jitters) {
      const hf::backoff huge{.kind = kind,
                             .base = hf::duration::max() / 2,
                             .cap = hf::duration::max(),
                             .factor = 3.0,
                             .jitter = j};
      const hf::backoff zero{.kind = kind, .base = 0ns, .cap = 20s, .jitter = j};
      for (const std::uint64_t n :
           {std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{1025}, most}) {
        CHECK(next_delay(huge, n, hf::duration::max(), most) >= 0ns);
        CHECK(next_delay(huge, n, hf::duration::max(), 0) >= 0ns);
        CHECK(next_delay(zero, n, 0ns, most) == 0ns);
      }
    }
  }
}

TEST_CASE("bug 33: at the cap the delays keep their spread", "[conformance]") {
  for (const auto j : {jitter::full, jitter::equal, jitter::decorrelated}) {
    std::mt19937_64 random(5);
    const hf::backoff b{.base = 100ms, .cap = 1s, .jitter = j};
    std::set<hf::duration> seen;
    int at_cap = 0;
    hf::duration previous = 1s;
    for (int i = 0; i < 1000; ++i) {
      previous = next_delay(b, 50, j == jitter::decorrelated ? 1s : previous, random());
      seen.insert(previous);
      at_cap += previous == 1s;
    }
    CAPTURE(to_string(j));
    CHECK(seen.size() > 990);
    CHECK(at_cap < 5);
    CHECK(*seen.begin() < 600ms);
    CHECK(*seen.rbegin() > 980ms);
  }
}

TEST_CASE("bug 33: clients that got the same hint do not come back together", "[conformance]") {
  const auto hint = GENERATE(as<hf::duration>(), 0s, 20s, 60s);  // the cap, the longest hint
  std::set<hf::duration> second;
  for (std::uint64_t client = 1; client <= 20; ++client) {
    const auto at = attempts({.max_attempts = 2}, hint, client);
    REQUIRE(at.size() == 2);
    CHECK(at[1] >= hint);
    second.insert(at[1]);
  }
  CHECK(second.size() == 20);
  CHECK(*second.rbegin() - *second.begin() > 50ms);
}

TEST_CASE("bug 34: no delay is shorter than its lower bound", "[conformance]") {
  std::mt19937_64 random(9);
  const hf::backoff equal{.base = 100ms, .cap = 20s, .jitter = jitter::equal};
  const hf::backoff decorrelated{.base = 100ms, .cap = 20s, .jitter = jitter::decorrelated};
  hf::duration previous{};
  for (int i = 0; i < 10'000; ++i) {
    const auto n = 1 + random() % 20;
    const auto full = std::min<hf::duration>(20s, 100ms * (std::int64_t{1} << (n - 1)));
    const auto d = next_delay(equal, n, 0ns, random());
    REQUIRE(d >= full / 2);
    REQUIRE(d <= full);
    const auto next = next_delay(decorrelated, n, previous, random());
    REQUIRE(next >= 100ms);
    REQUIRE(next <= std::max<hf::duration>(300ms, previous * 3));
    previous = next;
  }
}

TEST_CASE("bug 34: a retry waits what the formula says, to the nanosecond", "[conformance]") {
  const auto at = attempts({.max_attempts = 5,
                            .wait = {.base = 100ms, .cap = 500ms, .jitter = jitter::none}},
                           std::nullopt);
  CHECK(at == std::vector<hf::duration>{0ms, 100ms, 300ms, 700ms, 1200ms});
}

TEST_CASE("bug 35: the service's hint, in numbers", "[conformance]") {
  const hf::retry retry{.max_attempts = 2,
                        .wait = {.base = 100ms, .jitter = jitter::none},
                        .max_retry_after = 60s};
  using list = std::vector<hf::duration>;
  SECTION("missing, or negative: as if there were none") {
    CHECK(attempts(retry, std::nullopt) == list{0s, 100ms});
    CHECK(attempts(retry, -1s) == list{0s, 100ms});
    CHECK(attempts(retry, hf::duration::min()) == list{0s, 100ms});
  }
  SECTION("zero: the delay of the formula, no hot loop") {
    CHECK(attempts(retry, 0s) == list{0s, 100ms});
  }
  SECTION("shorter and longer than the delay: the longer of the two") {
    CHECK(attempts(retry, 50ms) == list{0s, 100ms});
    CHECK(attempts(retry, 7s) == list{0s, 7s});
    CHECK(attempts(retry, 60s) == list{0s, 60s});
  }
  SECTION("a day, a year, the end of time: not waited for, and the failure is told at once") {
    for (const hf::duration hint : {hf::duration(60s + 1ns), hf::duration(24h),
                                    hf::duration(24h * 365), hf::duration::max()}) {
      CHECK(attempts(retry, hint) == list{0s});
    }
  }
  SECTION("not honoured: ignored") {
    auto deaf = retry;
    deaf.honour_retry_after = false;
    CHECK(attempts(deaf, 7s) == list{0s, 100ms});
    CHECK(attempts(deaf, 24h) == list{0s, 100ms});
  }
}

TEST_CASE("bug 35: without a bound a huge hint does not overflow into a short one",
          "[conformance]") {
  const hf::retry retry{.max_attempts = 2, .max_retry_after = hf::duration::max()};
  const auto hint = GENERATE(hf::duration::max(), hf::duration::max() - 1ns,
                             hf::duration::max() / 8 * 7 + 1s);
  const auto at = attempts(retry, hint);
  REQUIRE(at.size() <= 2);
  if (at.size() == 2) CHECK(at[1] >= hint);
}

TEST_CASE("bug 35: a classifier's hint is bounded like the failure's", "[conformance]") {
  stage s;
  int asked = 0;
  const auto call = [&]() -> asio::awaitable<int> {
    ++asked;
    co_return 503;
  };
  const auto hint = GENERATE(as<hf::duration>(), -5s, 0s, 30s, 61s);
  const auto pipe =
      hf::pipeline()
          .with(hf::retry{.max_attempts = 2, .wait = {.base = 1s, .jitter = jitter::none}})
          .classify([hint](const int& status) -> hf::classification {
            if (status == 503) return {hf::verdict::overloaded, hint};
            return hf::verdict::success;
          });
  s.play([&]() -> asio::awaitable<void> {
    const auto r = co_await pipe(call);
    CHECK(r.value() == 503);
  });
  CHECK(asked == (hint > 60s ? 1 : 2));
  if (asked == 2) CHECK(s.elapsed() == std::max<hf::duration>(hint, 1s));
}

TEST_CASE("bug 36: executions through one retry policy do not share their state",
          "[conformance]") {
  stage s;
  const auto shared = std::make_shared<hf::retry>(hf::retry{
      .max_attempts = 4, .wait = {.base = 100ms, .cap = 10s, .jitter = jitter::none}});
  const auto pipe = hf::pipeline().with(shared);
  std::vector<std::vector<hf::duration>> at(3);
  for (std::size_t i = 0; i < at.size(); ++i) {
    s.start([&, i]() -> asio::awaitable<void> {
      co_await hf::sleep_for(150ms * i);
      const auto began = s.time.now();
      const auto call = [&]() -> asio::awaitable<int> {
        at[i].push_back(s.time.now() - began);
        throw std::runtime_error("down");
        co_return 0;
      };
      const auto r = co_await pipe(call);
      CHECK(r.error().attempts() == 4);
    });
  }
  s.run();
  for (const auto& a : at) CHECK(a == std::vector<hf::duration>{0ms, 100ms, 300ms, 700ms});
}

TEST_CASE("bug 37: a cancellation ends the wait at once, and no attempt follows",
          "[conformance]") {
  stage s;
  int asked = 0;
  const auto call = [&]() -> asio::awaitable<int> {
    ++asked;
    throw std::runtime_error("down");
    co_return 0;
  };
  const auto pipe = hf::pipeline()
                        .with(hf::retry{.max_attempts = 10,
                                        .wait = {.base = 60s, .cap = 60s, .jitter = jitter::none}})
                        .fallback(7);
  std::optional<hf::result<int>> result;
  asio::cancellation_signal stop;
  const auto scene = [&]() -> asio::awaitable<void> {
    co_await asio::this_coro::throw_if_cancelled(false);
    result.emplace(co_await pipe(call));
  };
  asio::co_spawn(s.context, scene,
                 asio::bind_cancellation_slot(stop.slot(), [](std::exception_ptr) {}));
  s.time.run_for(30s);
  CHECK(asked == 1);
  CHECK_FALSE(result);
  stop.emit(asio::cancellation_type::terminal);
  s.time.run_for(0s);
  CHECK(s.time.timers() == 0);
  s.time.run();
  CHECK(asked == 1);
  CHECK(s.elapsed() == 30s);
  // The coroutine that is cancelled does not always live to see the result.
  if (result) CHECK(result->error().code() == hf::errc::cancelled);
}
