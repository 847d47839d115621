// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: a fallback is a value, a call or a chain; an awaitable would be started
#include <boost/asio/awaitable.hpp>
#include <holdfast/resilient.hpp>
#include <string>

namespace hf = holdfast;

boost::asio::awaitable<int> call() { co_return 1; }

boost::asio::awaitable<void> use() {
  auto chain = hf::resilient(call).fallback(call());
  co_return;
}
