// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: a call is a function that returns asio::awaitable<T>
#include <boost/asio/awaitable.hpp>
#include <holdfast/resilient.hpp>
#include <string>

namespace hf = holdfast;

boost::asio::awaitable<int> call() { co_return 1; }

boost::asio::awaitable<void> use() {
  auto answer = co_await hf::pipeline()([] { return 1; });
  static_cast<void>(answer);
}
