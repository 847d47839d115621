// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: the completion handler has no executor
// expect: chain.on(executor)(token)
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <holdfast/resilient.hpp>

namespace asio = boost::asio;
namespace hf = holdfast;

asio::awaitable<int> call() { co_return 1; }

asio::awaitable<void> use() {
  const auto chain = hf::resilient(call).with(hf::timeout{});
  auto both = asio::experimental::make_parallel_group(chain(asio::deferred), chain(asio::deferred));
  co_await both.async_wait(asio::experimental::wait_for_all(), asio::deferred);
}
