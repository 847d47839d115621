// SPDX-License-Identifier: BSL-1.0
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>

namespace hf = holdfast;
using namespace std::chrono_literals;
using Catch::Approx;

namespace {

double share(hf::retry r) { return hf::pipeline().with(r).safe_utilisation(); }

}  // namespace

TEST_CASE("a stack that sends a call once may use all of a service", "[safe_utilisation]") {
  CHECK(hf::pipeline().safe_utilisation() == 1.0);
  const auto pipe = hf::pipeline().with(hf::timeout{1s}).with(hf::bulkhead());
  CHECK(pipe.safe_utilisation() == 1.0);
  CHECK(pipe.describe().find("safe utilisation") == std::string::npos);
  CHECK(share({.max_attempts = 1}) == 1.0);
}

TEST_CASE("three retries leave a quarter, a budget of 10 % leaves 91 %", "[safe_utilisation]") {
  CHECK(share({.max_attempts = 4}) == 0.25);
  const hf::retry_budget tenth({.ratio = 0.1});
  CHECK(share({.max_attempts = 4, .budget = tenth}) == Approx(0.909).margin(0.001));
  CHECK(hf::pipeline().with(hf::retry{.budget = tenth}).describe().ends_with(
      "safe utilisation: 90.9 %\n"));
}

TEST_CASE("a budget never makes it worse than the attempts do", "[safe_utilisation]") {
  CHECK(share({.max_attempts = 2, .budget = hf::retry_budget({.ratio = 5.0})}) == 0.5);
}

TEST_CASE("tokens bound the retries by their ratio", "[safe_utilisation]") {
  const hf::retry_budget tokens({.mode = hf::budget_mode::tokens, .token_ratio = 0.25});
  CHECK(share({.max_attempts = 4, .budget = tokens}) == Approx(0.8));
}

TEST_CASE("a hedge multiplies, with what is inside of it too", "[safe_utilisation]") {
  const hf::hedge twice({.max_hedges = 1});
  CHECK(hf::pipeline().with(twice).safe_utilisation() == 0.5);
  CHECK(hf::pipeline().with(twice).with(hf::retry{.max_attempts = 4}).safe_utilisation() == 0.125);
  // A change of the options while it runs is seen.
  auto pipe = hf::pipeline().with(twice).with(hf::timeout{1s});
  hf::hedge(twice).reconfigure({.max_hedges = 3});
  CHECK(pipe.safe_utilisation() == 0.25);
}

TEST_CASE("a budget bounds a hedge as it bounds a retry", "[safe_utilisation]") {
  const hf::hedge hedge({.max_hedges = 1, .budget = hf::retry_budget({.ratio = 0.25})});
  const auto pipe = hf::pipeline().with(hedge);
  CHECK(pipe.safe_utilisation() == Approx(0.8));
  CHECK(pipe.describe().ends_with("safe utilisation: 80 %\n"));
}

TEST_CASE("the links of a fallback are other services", "[safe_utilisation]") {
  const auto call = []() -> boost::asio::awaitable<int> { co_return 1; };
  const auto chain = hf::resilient(call)
                         .with(hf::retry{.max_attempts = 2})
                         .fallback(hf::resilient(call).with(hf::retry{.max_attempts = 5}));
  CHECK(chain.safe_utilisation() == 0.5);
  CHECK(chain.describe().ends_with("call\nsafe utilisation: 50 %\n"));
}
