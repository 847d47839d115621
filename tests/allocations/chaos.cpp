// SPDX-License-Identifier: BSL-1.0
// Chaos allocates nothing while it is off, and nothing for a fault.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/error.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>

#include "../support/allocations_of.hpp"

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;

asio::awaitable<int> ready() { co_return 1; }

template <class Pipeline>
std::uint64_t count(const Pipeline& pipeline, bool expect_value) {
  return support::allocations_of([&] { return pipeline(ready); }, expect_value);
}

}  // namespace

TEST_CASE("allocations: chaos") {
  hf::chaos chaos(
      {.rules = {{.fault = hf::failure(asio::error::make_error_code(asio::error::eof))}}});
  const auto pipe = hf::pipeline().with(chaos);
  CHECK(count(pipe, true) == 0);
  chaos.enable();
  CHECK(count(pipe, false) == 0);
}
