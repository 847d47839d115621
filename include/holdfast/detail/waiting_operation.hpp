// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_WAITING_OPERATION_HPP
#define HOLDFAST_DETAIL_WAITING_OPERATION_HPP

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/system/errc.hpp>
#include <boost/system/error_code.hpp>
#include <holdfast/detail/wait_state.hpp>
#include <holdfast/time/time_service.hpp>
#include <memory>
#include <new>
#include <utility>

namespace holdfast::detail {

/// A wait that is an asynchronous operation of its own, with the signature `void(error_code)`. Owns
/// itself until its handler is called or dropped. What it waits for is the subject:
///
///   wait_state& wait();
///   time_point begin(time_service&);   the wait is open; returns until when to wait at most
///   void end() noexcept;               it is over, and about to be finished
template <class Handler, class Subject>
class waiting_operation {
 public:
  template <class... Args>
  static void start(Handler handler, Args&&... subject) {
    completion done{nullptr, std::move(handler)};
    try {
      done.op = std::make_unique<waiting_operation>(asio::get_associated_executor(done.handler),
                                                    std::forward<Args>(subject)...);
      waiting_operation& self = *done.op;
      auto& time = time_service::of(self.executor_);
      wait_state& wait = self.subject_.wait();
      wait.prepare(time, asio::get_associated_cancellation_slot(done.handler));
      const time_point until = self.subject_.begin(time);
      wait.start(until, std::move(done));
    } catch (const std::bad_alloc&) {
      // Nothing can be posted without memory, and nothing that is thrown out of here reaches a
      // coroutine that awaits this.
      done.op.reset();
      std::move(done.handler)(error_of(wait_end::failed));
    }
  }

  template <class... Args>
  explicit waiting_operation(asio::any_io_executor executor, Args&&... subject)
      : executor_(std::move(executor)),
        work_(executor_),
        subject_(std::forward<Args>(subject)...) {}
  ~waiting_operation() { subject_.end(); }
  waiting_operation(const waiting_operation&) = delete;

 private:
  /// Keeps the operation until it runs: dropped with the execution context, it takes it along.
  struct completion {
    using executor_type = asio::any_io_executor;
    executor_type get_executor() const noexcept { return op->executor_; }

    void operator()() {
      op->subject_.end();
      const auto ec = error_of(op->subject_.wait().finish());
      op.reset();  // before the handler, which may wait again
      std::move(handler)(ec);
    }

    std::unique_ptr<waiting_operation> op;
    Handler handler;
  };

  asio::any_io_executor executor_;
  // The timer is no work of the context, but this is: `run()` waits for it.
  asio::executor_work_guard<asio::any_io_executor> work_;
  Subject subject_;
};

}  // namespace holdfast::detail

#endif
