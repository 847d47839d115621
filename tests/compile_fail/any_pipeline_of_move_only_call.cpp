// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: an any_pipeline takes calls that can be copied; capture a std::shared_ptr to what cannot, or use the pipeline itself.
#include <boost/asio/awaitable.hpp>
#include <holdfast/any_pipeline.hpp>
#include <memory>

namespace hf = holdfast;

auto guarded(const hf::any_pipeline<int>& guard) {
  return guard([p = std::make_unique<int>(1)]() -> boost::asio::awaitable<int> { co_return *p; });
}
