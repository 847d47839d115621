// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_WORK_COUNT_HPP
#define HOLDFAST_DETAIL_WORK_COUNT_HPP

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <variant>

namespace holdfast::detail {

/// The executor under any strands.
boost::asio::any_io_executor base_executor(const boost::asio::any_io_executor& executor);

/// Takes back, and returns, the work that a pending timer or a parked coroutine counts as, so that
/// `run()` of the context can return while nothing but those is left.
class work_count {
 public:
  explicit work_count(const boost::asio::any_io_executor& executor);

  /// Whether the context lets its work be counted from outside.
  bool known() const noexcept { return executor_.index() != 0; }

  void down() const noexcept;
  void up() const noexcept;

 private:
  using io_executor = boost::asio::io_context::executor_type;
  using pool_executor = boost::asio::thread_pool::executor_type;

  std::variant<std::monostate, io_executor, pool_executor> executor_;
};

}  // namespace holdfast::detail

#endif
