// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: the cache keeps values of another type than the call gives; use a hf::cache of the call's type.
#include <boost/asio/awaitable.hpp>
#include <holdfast/resilient.hpp>
#include <string>

namespace hf = holdfast;

boost::asio::awaitable<int> number() { co_return 1; }

int main() {
  hf::cache<std::string> cache;
  auto operation = hf::pipeline().with(cache)(number);
}
