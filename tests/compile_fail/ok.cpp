// SPDX-License-Identifier: BSL-1.0
#include <holdfast/resilient.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>

namespace hf = holdfast;

boost::asio::awaitable<int> call() { co_return 1; }

boost::asio::awaitable<void> use() {
  auto pipeline = hf::pipeline().with(hf::timeout{.after = std::chrono::seconds{2}}).with(hf::retry{});
  hf::result<int> answer = co_await pipeline(call);
  static_cast<void>(answer);
}
