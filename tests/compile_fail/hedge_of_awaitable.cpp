// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: an awaitable runs once and cannot be hedged
#include <boost/asio/awaitable.hpp>
#include <holdfast/resilient.hpp>

namespace hf = holdfast;

boost::asio::awaitable<int> call() { co_return 1; }

boost::asio::awaitable<void> use() {
  auto chain = hf::resilient(call()).with(hf::hedge());
  co_return;
}
