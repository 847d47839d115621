// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: the call gives an asio::awaitable with an executor type of its own; let it give asio::awaitable<T>, whose executor is asio::any_io_executor.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <holdfast/resilient.hpp>

namespace hf = holdfast;

boost::asio::awaitable<int, boost::asio::io_context::executor_type> call() { co_return 1; }

auto guarded() { return hf::resilient(call); }
