// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_DRAIN_OPERATION_HPP
#define HOLDFAST_DETAIL_DRAIN_OPERATION_HPP

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <holdfast/detail/bulkhead_core.hpp>
#include <holdfast/time/time_service.hpp>
#include <memory>
#include <utility>

namespace holdfast::detail {

/// Waits for the last permit of a bulkhead. Owns itself until its handler is called or dropped.
template <class Handler>
class drain_operation {
 public:
  static void start(std::shared_ptr<bulkhead_core> core, Handler handler) {
    completion done{nullptr, std::move(handler)};
    try {
      done.op = std::make_unique<drain_operation>(asio::get_associated_executor(done.handler),
                                                  std::move(core));
      auto& self = *done.op;
      self.place_.wait.prepare(time_service::of(self.executor_),
                               asio::get_associated_cancellation_slot(done.handler));
      self.core_->join(self.place_);
      self.place_.wait.start(never, std::move(done));
    } catch (const std::bad_alloc&) {
      // Nothing can be posted without memory, and nothing that is thrown out of here reaches a
      // coroutine that awaits this.
      done.op.reset();
      std::move(done.handler)(make_error_code(boost::system::errc::not_enough_memory));
    }
  }

  drain_operation(asio::any_io_executor executor, std::shared_ptr<bulkhead_core> core)
      : executor_(std::move(executor)), work_(executor_), core_(std::move(core)) {}
  ~drain_operation() { core_->leave(place_); }
  drain_operation(const drain_operation&) = delete;

 private:
  /// Keeps the operation until it runs: dropped with the execution context, it takes it along.
  struct completion {
    using executor_type = asio::any_io_executor;
    executor_type get_executor() const noexcept { return op->executor_; }

    void operator()() {
      op->core_->leave(op->place_);
      const auto ec = error_of(op->place_.wait.finish());
      op.reset();  // before the handler, which may start anything
      std::move(handler)(ec);
    }

    std::unique_ptr<drain_operation> op;
    Handler handler;
  };

  asio::any_io_executor executor_;
  asio::executor_work_guard<asio::any_io_executor> work_;
  std::shared_ptr<bulkhead_core> core_;
  drain_wait place_;
};

struct initiate_drain {
  template <class Handler>
  void operator()(Handler&& handler, std::shared_ptr<bulkhead_core> core) const {
    drain_operation<std::decay_t<Handler>>::start(std::move(core), std::forward<Handler>(handler));
  }
};

}  // namespace holdfast::detail

#endif
