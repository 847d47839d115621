// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <catch2/catch_message.hpp>
#include <cstdint>
#include <holdfast/testing/seed.hpp>

namespace test {

/// While it lives, a failed assertion says with which seed.
class seed_note {
 public:
  explicit seed_note(std::uint64_t seed)
      : note_(Catch::MessageBuilder("INFO", {__FILE__, __LINE__}, Catch::ResultWas::Info)
              << "HOLDFAST_SEED=" << seed) {}

 private:
  Catch::ScopedMessage note_;
};

/// The seed of a test case, which the environment may replace: HOLDFAST_SEED=7 unit_breaker.
///
///     const test::seed seed(GENERATE(range(1u, 31u)));
class seed {
 public:
  explicit seed(std::uint64_t otherwise)
      : value_(holdfast::testing::seed_or(otherwise)), note_(value_) {}
  operator std::uint64_t() const noexcept { return value_; }

 private:
  std::uint64_t value_;
  seed_note note_;
};

}  // namespace test
