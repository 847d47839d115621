// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: the completion handler has no executor
// expect: asio::bind_executor(executor, token)
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <holdfast/resilient.hpp>

boost::asio::awaitable<int> call() { co_return 1; }

void use() { holdfast::resilient(call)(boost::asio::use_future).wait(); }
