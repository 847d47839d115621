// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: the fallback's value does not convert to the call's result.
#include <boost/asio/awaitable.hpp>
#include <holdfast/resilient.hpp>
#include <string>

namespace hf = holdfast;

boost::asio::awaitable<int> call() { co_return 1; }

boost::asio::awaitable<void> use() {
  auto answer = co_await hf::resilient(call).fallback(std::string("sorry"));
  static_cast<void>(answer);
}
