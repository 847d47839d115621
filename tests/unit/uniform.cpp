// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <catch2/catch_all.hpp>
#include <holdfast/detail/uniform.hpp>
#include <limits>
#include <random>

namespace hf = holdfast;
using hf::detail::uniform;
using namespace std::chrono_literals;

TEST_CASE("the ends of the range are the images of the ends of the numbers", "[uniform]") {
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  CHECK(uniform(3ns, 9ns, 0) == 3ns);
  CHECK(uniform(3ns, 9ns, most) == 9ns);
  CHECK(uniform(5ns, 5ns, 0) == 5ns);
  CHECK(uniform(5ns, 5ns, most) == 5ns);
  CHECK(uniform(0ns, hf::duration::max(), 0) == 0ns);
  CHECK(uniform(0ns, hf::duration::max(), most) == hf::duration::max());
}

TEST_CASE("every value of a small range comes about equally often", "[uniform]") {
  std::mt19937_64 random(7);
  std::array<int, 7> count{};
  for (int i = 0; i < 70'000; ++i) {
    const auto d = uniform(3ns, 9ns, random());
    REQUIRE(d >= 3ns);
    REQUIRE(d <= 9ns);
    ++count[static_cast<std::size_t>((d - 3ns).count())];
  }
  for (const int n : count) {
    CHECK(n > 9'500);
    CHECK(n < 10'500);
  }
}

TEST_CASE("the same number gives the same value everywhere", "[uniform]") {
  // Written down, so that a change of formula shows: recorded runs depend on it.
  CHECK(uniform(0ns, 999ns, std::uint64_t{1} << 63) == 500ns);
  CHECK(uniform(100ms, 300ms, 0x123456789abcdef0ull) == 114222222ns);
}
