// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: the call gives a reference, which no result can hold; let it give a value, a pointer or a std::reference_wrapper.
#include <boost/asio/awaitable.hpp>
#include <holdfast/resilient.hpp>

namespace hf = holdfast;

int number = 1;
boost::asio::awaitable<int&> call() { co_return number; }

boost::asio::awaitable<void> caller() {
  co_await hf::pipeline().with(hf::timeout{})(call);
}
