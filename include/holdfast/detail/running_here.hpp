// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_RUNNING_HERE_HPP
#define HOLDFAST_DETAIL_RUNNING_HERE_HPP

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>

namespace holdfast::detail {

/// As `running_here`, for every other executor that Asio has; false where it cannot be known.
bool running_on(const boost::asio::any_io_executor& executor) noexcept;

/// Whether this thread is inside a function of the executor. False where it cannot be known.
inline bool running_here(const boost::asio::any_io_executor& executor) noexcept {
  const auto* io = executor.target<boost::asio::io_context::executor_type>();
  return io ? io->running_in_this_thread() : running_on(executor);
}

}  // namespace holdfast::detail

#endif
