// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: the classifier takes neither the value of the call (const T&) nor a const hf::failure&, or is not const, and so would judge nothing.
#include <boost/asio/awaitable.hpp>
#include <holdfast/resilient.hpp>
#include <string>

namespace hf = holdfast;

boost::asio::awaitable<int> call() { co_return 1; }

auto guarded() {
  return hf::resilient(call)
      .classify([](const std::string&) { return hf::verdict::success; })
      .run();
}
