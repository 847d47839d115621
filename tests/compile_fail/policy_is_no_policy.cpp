// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: .with() takes a policy
#include <boost/asio/awaitable.hpp>
#include <holdfast/resilient.hpp>
#include <string>

namespace hf = holdfast;

boost::asio::awaitable<int> call() { co_return 1; }

boost::asio::awaitable<void> use() {
  auto guard = hf::pipeline().with(std::string("timeout"));
  co_return;
}
