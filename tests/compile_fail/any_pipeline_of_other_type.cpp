// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: the call gives another type than the any_pipeline is for.
#include <boost/asio/awaitable.hpp>
#include <holdfast/any_pipeline.hpp>
#include <string>

namespace hf = holdfast;

auto guarded(const hf::any_pipeline<int>& guard) {
  return guard([]() -> boost::asio::awaitable<std::string> { co_return "text"; });
}
