// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: the completion handler has no executor
#include <boost/asio/awaitable.hpp>
#include <holdfast/resilient.hpp>

boost::asio::awaitable<int> call() { co_return 1; }

void use() { holdfast::resilient(call)([](holdfast::result<int>) {}); }
