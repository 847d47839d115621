// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: a chain that has a name is awaited as chain.run(), or as std::move(chain), once.
#include <boost/asio/awaitable.hpp>
#include <holdfast/resilient.hpp>

namespace hf = holdfast;

boost::asio::awaitable<int> call() { co_return 1; }

boost::asio::awaitable<void> caller() {
  auto chain = hf::resilient(call).with(hf::timeout{});
  co_await chain;
}
