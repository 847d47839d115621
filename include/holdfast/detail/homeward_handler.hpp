// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_HOMEWARD_HANDLER_HPP
#define HOLDFAST_DETAIL_HOMEWARD_HANDLER_HPP

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <type_traits>
#include <utility>

namespace holdfast::detail {

namespace asio = boost::asio;

/// The handler of an operation that runs on an executor named beside it, and completes on the
/// handler's own if it has one.
template <class Handler>
class homeward_handler {
 public:
  using executor_type = asio::any_io_executor;
  using cancellation_slot_type = asio::associated_cancellation_slot_t<Handler>;

  homeward_handler(executor_type runs_on, Handler handler)
      : runs_on_(std::move(runs_on)),
        work_(asio::get_associated_executor(handler, runs_on_)),
        handler_(std::move(handler)) {}

  executor_type get_executor() const noexcept { return runs_on_; }
  cancellation_slot_type get_cancellation_slot() const noexcept {
    return asio::get_associated_cancellation_slot(handler_);
  }

  template <class... Args>
  void operator()(Args... args) {
    const auto home = work_.get_executor();
    asio::dispatch(home, [handler = std::move(handler_), ... a = std::move(args)]() mutable {
      std::move(handler)(std::move(a)...);
    });
  }

 private:
  executor_type runs_on_;
  asio::executor_work_guard<asio::associated_executor_t<Handler, executor_type>> work_;
  Handler handler_;
};

}  // namespace holdfast::detail

#endif
