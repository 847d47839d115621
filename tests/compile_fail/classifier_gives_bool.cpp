// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: a classifier gives a hf::verdict or a hf::classification.
#include <boost/asio/awaitable.hpp>
#include <holdfast/resilient.hpp>

namespace hf = holdfast;

boost::asio::awaitable<int> call() { co_return 1; }

auto guarded() {
  return hf::resilient(call).classify([](const hf::failure&) { return true; }).run();
}
