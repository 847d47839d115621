// SPDX-License-Identifier: BSL-1.0
// What simulations are made of: the log of their calls, their dice, and their seed.
#include <catch2/catch_all.hpp>
#include <cstdlib>
#include <holdfast/invalid_options.hpp>
#include <holdfast/testing/call_log.hpp>
#include <holdfast/testing/dice.hpp>
#include <holdfast/testing/seed.hpp>
#include <limits>
#include <optional>
#include <string>

#include "../support/seed.hpp"

namespace hf = holdfast;
using hf::testing::call_log;
using hf::testing::dice;
using namespace std::chrono_literals;

namespace {

constexpr hf::time_point origin{1h};

void add(call_log& log, hf::duration began, hf::duration took, bool good = true) {
  log.end(log.begin(origin + began), origin + began + took, good);
}

/// Sets the variable, and puts it back as it was.
class environment {
 public:
  explicit environment(const char* seed) {
    if (const char* const before = std::getenv("HOLDFAST_SEED")) before_ = before;
    set(seed);
  }
  ~environment() { set(before_ ? before_->c_str() : nullptr); }
  environment(const environment&) = delete;

 private:
  static void set(const char* seed) {
    seed ? ::setenv("HOLDFAST_SEED", seed, 1) : ::unsetenv("HOLDFAST_SEED");
  }
  std::optional<std::string> before_;
};

}  // namespace

TEST_CASE("a log counts a call where it ended", "[call_log]") {
  call_log log(origin);
  add(log, 1s, 500ms);
  add(log, 1s, 1s, false);  // ends at 2 s, which is beyond the first span
  log.begin(origin + 1s);   // never ends
  CHECK(log.between(0s, 2s).calls == 1);
  CHECK(log.between(0s, 2s).success() == 1.0);
  CHECK(log.between(2s, 3s).calls == 1);
  CHECK(log.between(2s, 3s).success() == 0.0);
  CHECK(log.between(0s, 1h).success() == 0.5);
  CHECK(log.between(0s, 1s).begun == 0);
  CHECK(log.between(1s, 2s).begun == 3);
  CHECK(log.unfinished() == 1);
}

TEST_CASE("without calls nothing has failed", "[call_log]") {
  const call_log log(origin);
  const auto s = log.between(0s, 1h);
  CHECK(s.calls == 0);
  CHECK(s.success() == 1.0);
  CHECK(s.p99 == 0s);
}

TEST_CASE("percentiles are values that calls took, and exact", "[call_log]") {
  call_log log(origin);
  for (int ms = 200; ms > 0; --ms) add(log, 0s, ms * 1ms, ms % 2 == 0);
  const auto s = log.between(0s, 1s);
  CHECK(s.p50 == 100ms);
  CHECK(s.p99 == 198ms);
  CHECK(s.longest == 200ms);
  CHECK(s.good == 100);

  call_log one(origin);
  add(one, 0s, 7ms);
  CHECK(one.between(0s, 1s).p50 == 7ms);
  CHECK(one.between(0s, 1s).p99 == 7ms);
}

TEST_CASE("dice: the same seed, the same draws, everywhere", "[dice]") {
  dice d(1);
  // The engine's sequence is the standard's; what is made of it must not depend on a library.
  CHECK(d.raw() == 2469588189546311528u);
  dice a(42);
  dice b(42);
  for (int i = 0; i < 100; ++i) REQUIRE(a.exponential(1s) == b.exponential(1s));
}

TEST_CASE("dice: what they give is what they say", "[dice]") {
  dice d(7);
  double sum = 0;
  int hits = 0;
  constexpr int draws = 100'000;
  for (int i = 0; i < draws; ++i) {
    const auto t = d.exponential(1s);
    REQUIRE(t >= 0s);
    sum += std::chrono::duration<double>(t).count();
    hits += d.hits(0.15);
    REQUIRE(d.hits(1.0));
    REQUIRE_FALSE(d.hits(0.0));
  }
  CHECK(sum / draws == Catch::Approx(1.0).margin(0.02));
  CHECK(hits == Catch::Approx(0.15 * draws).margin(0.01 * draws));
}

TEST_CASE("seed: the environment's, where there is one", "[seed]") {
  using hf::testing::seed_or;
  {
    const environment none(nullptr);
    CHECK(seed_or(3) == 3);
  }
  {
    const environment given("18446744073709551615");
    CHECK(seed_or(3) == std::numeric_limits<std::uint64_t>::max());
  }
  const environment wrong(GENERATE("", "x", "7x", "-1", "18446744073709551616"));
  CHECK_THROWS_AS(seed_or(3), hf::invalid_options);
}

// Fails, so that a test can look at what it says: unit_call_log "[fails]"
TEST_CASE("seed: a failure says it", "[.][fails]") {
  const test::seed seed(3);
  FAIL("drew " << dice(seed).raw());
}
