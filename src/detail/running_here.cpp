// SPDX-License-Identifier: BSL-1.0
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <holdfast/detail/running_here.hpp>

namespace holdfast::detail {

namespace asio = boost::asio;

namespace {

using io_executor = asio::io_context::executor_type;
using pool_executor = asio::thread_pool::executor_type;

template <class... Executors>
bool running_on_one_of(const asio::any_io_executor& executor) noexcept {
  const auto running_as = [&]<class Executor>() {
    const auto* const e = executor.target<Executor>();
    return e && e->running_in_this_thread();
  };
  return (running_as.template operator()<Executors>() || ...);
}

}  // namespace

bool running_on(const asio::any_io_executor& executor) noexcept {
  return running_on_one_of<asio::strand<io_executor>, pool_executor, asio::strand<pool_executor>,
                           asio::strand<asio::any_io_executor>>(executor);
}

}  // namespace holdfast::detail
