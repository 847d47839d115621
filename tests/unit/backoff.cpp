// SPDX-License-Identifier: BSL-1.0
#include <catch2/catch_all.hpp>
#include <holdfast/policy/backoff.hpp>
#include <limits>
#include <random>

namespace hf = holdfast;
using hf::backoff_kind;
using hf::jitter;
using hf::next_delay;
using namespace std::chrono_literals;

namespace {
constexpr std::uint64_t lowest = 0;
constexpr auto highest = std::numeric_limits<std::uint64_t>::max();
}  // namespace

TEST_CASE("without jitter the delays are the formula's", "[backoff]") {
  hf::backoff b{.kind = backoff_kind::exponential,
                .base = 100ms,
                .cap = 1s,
                .factor = 2.0,
                .jitter = jitter::none};
  SECTION("exponential") {
    const std::vector<hf::duration> expected{100ms, 200ms, 400ms, 800ms, 1s, 1s};
    for (std::size_t i = 0; i < expected.size(); ++i) {
      CHECK(next_delay(b, i + 1, 0ns, highest) == expected[i]);
    }
    b.factor = 1.0;
    CHECK(next_delay(b, 1000, 0ns, lowest) == 100ms);
  }
  SECTION("linear") {
    b.kind = backoff_kind::linear;
    CHECK(next_delay(b, 1, 0ns, highest) == 100ms);
    CHECK(next_delay(b, 7, 0ns, highest) == 700ms);
    CHECK(next_delay(b, 10, 0ns, highest) == 1s);
    CHECK(next_delay(b, 11, 0ns, highest) == 1s);
    CHECK(next_delay(b, highest, 0ns, highest) == 1s);
  }
  SECTION("constant") {
    b.kind = backoff_kind::constant;
    CHECK(next_delay(b, 1, 0ns, lowest) == 100ms);
    CHECK(next_delay(b, highest, 0ns, lowest) == 100ms);
  }
}

TEST_CASE("each jitter has its range, both ends included", "[backoff]") {
  hf::backoff b{.kind = backoff_kind::exponential, .base = 100ms, .cap = 10s};
  SECTION("full") {
    b.jitter = jitter::full;
    CHECK(next_delay(b, 3, 0ns, lowest) == 0ms);
    CHECK(next_delay(b, 3, 0ns, highest) == 400ms);
  }
  SECTION("equal") {
    b.jitter = jitter::equal;
    CHECK(next_delay(b, 3, 0ns, lowest) == 200ms);
    CHECK(next_delay(b, 3, 0ns, highest) == 400ms);
  }
  SECTION("decorrelated") {
    b.jitter = jitter::decorrelated;
    CHECK(next_delay(b, 1, 0ns, lowest) == 100ms);
    CHECK(next_delay(b, 1, 0ns, highest) == 300ms);
    CHECK(next_delay(b, 2, 2s, lowest) == 100ms);
    CHECK(next_delay(b, 2, 2s, highest) == 6s);
    CHECK(next_delay(b, 2, 9s, highest) == 10s);
    CHECK(next_delay(b, 2, hf::duration::max(), highest) == 10s);
  }
}

TEST_CASE("a base of zero means no waiting", "[backoff]") {
  for (const auto kind :
       {backoff_kind::constant, backoff_kind::linear, backoff_kind::exponential}) {
    for (const auto j : {jitter::none, jitter::full, jitter::equal, jitter::decorrelated}) {
      const hf::backoff b{.kind = kind, .base = 0ns, .jitter = j};
      for (const std::uint64_t retry : {std::uint64_t{1}, std::uint64_t{2}, highest}) {
        CHECK(next_delay(b, retry, 0ns, highest) == 0ns);
      }
    }
  }
}

TEST_CASE("random options keep every delay within its bounds", "[backoff]") {
  std::mt19937_64 random(11);
  for (int i = 0; i < 20'000; ++i) {
    hf::backoff b;
    b.kind = static_cast<backoff_kind>(random() % 3);
    b.jitter = static_cast<jitter>(random() % 4);
    b.base = hf::duration(static_cast<std::int64_t>(random() >> (1 + random() % 63)));
    b.cap =
        std::max(b.base, hf::duration(static_cast<std::int64_t>(random() >> (1 + random() % 63))));
    b.factor = 1.0 + static_cast<double>(random() % 1000) / 100.0;
    const std::uint64_t retry = 1 + (random() >> (random() % 64));
    const auto previous = hf::duration(static_cast<std::int64_t>(random() >> (1 + random() % 63)));
    const hf::duration d = next_delay(b, retry, previous, random());
    CAPTURE(b.kind, b.jitter, b.base, b.cap, b.factor, retry, previous);
    REQUIRE(d >= 0ns);
    REQUIRE(d <= b.cap);
    if (b.jitter == jitter::decorrelated) REQUIRE(d >= b.base);
    if (b.jitter == jitter::equal) REQUIRE(d >= b.base / 2);
    if (b.jitter == jitter::none) REQUIRE(d >= b.base);
  }
}

TEST_CASE("kinds and jitters have names", "[backoff]") {
  CHECK(to_string(backoff_kind::constant) == "constant");
  CHECK(to_string(backoff_kind::linear) == "linear");
  CHECK(to_string(backoff_kind::exponential) == "exponential");
  CHECK(to_string(static_cast<backoff_kind>(99)) == "unknown");
  CHECK(to_string(jitter::none) == "none");
  CHECK(to_string(jitter::full) == "full");
  CHECK(to_string(jitter::equal) == "equal");
  CHECK(to_string(jitter::decorrelated) == "decorrelated");
  CHECK(to_string(static_cast<jitter>(99)) == "unknown");
}
