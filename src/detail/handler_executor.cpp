// SPDX-License-Identifier: BSL-1.0
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/execution/relationship.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/strand.hpp>
#include <holdfast/detail/handler_executor.hpp>
#include <holdfast/detail/home_executor.hpp>
#include <stdexcept>

namespace holdfast::detail {

namespace {

using io_executor = asio::io_context::executor_type;
using pool_executor = asio::thread_pool::executor_type;

template <class... Executors>
asio::any_io_executor first_of(const asio::any_completion_executor& erased) {
  asio::any_io_executor found;
  const auto try_as = [&]<class Executor>() {
    const auto* const e = erased.target<Executor>();
    if (e) found = *e;
    return e != nullptr;
  };
  static_cast<void>((try_as.template operator()<Executors>() || ...));
  return found;
}

}  // namespace

asio::any_io_executor io_executor_in(const asio::any_completion_executor& handlers) {
  // As plain as Asio's own, whatever was asked of it.
  const asio::any_completion_executor erased =
      handlers ? asio::prefer(handlers, asio::execution::outstanding_work.untracked,
                              asio::execution::relationship.fork)
               : handlers;
  auto found = first_of<asio::any_io_executor, io_executor, asio::strand<io_executor>,
                        pool_executor, asio::strand<pool_executor>,
                        asio::strand<asio::any_io_executor>, home_executor>(erased);
  if (!found) {
    throw std::invalid_argument(
        "holdfast: the type-erased completion handler has no executor of Asio's; bind one to it, "
        "or start the operation on one, as in chain.on(executor)(token)");
  }
  return found;
}

}  // namespace holdfast::detail
