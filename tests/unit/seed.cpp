// SPDX-License-Identifier: BSL-1.0
#include <catch2/catch_all.hpp>
#include <cstdlib>
#include <holdfast/invalid_options.hpp>
#include <holdfast/testing/seed.hpp>
#include <limits>
#include <optional>
#include <string>

namespace {

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

TEST_CASE("seed: the environment's, where there is one", "[seed]") {
  using holdfast::testing::seed_or;
  {
    const environment none(nullptr);
    CHECK(seed_or(3) == 3);
  }
  {
    const environment given("18446744073709551615");
    CHECK(seed_or(3) == std::numeric_limits<std::uint64_t>::max());
  }
  const environment wrong(GENERATE("", "x", "7x", "-1", "18446744073709551616"));
  CHECK_THROWS_AS(seed_or(3), holdfast::invalid_options);
}
