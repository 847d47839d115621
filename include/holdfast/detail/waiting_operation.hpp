// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_WAITING_OPERATION_HPP
#define HOLDFAST_DETAIL_WAITING_OPERATION_HPP

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/system/error_code.hpp>
#include <holdfast/detail/handler_executor.hpp>
#include <holdfast/detail/homeward_handler.hpp>
#include <holdfast/detail/post_memory.hpp>
#include <holdfast/detail/resumption.hpp>
#include <holdfast/detail/place.hpp>
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
///
/// Started from any thread. The subject begins there and then; the wait itself begins on the
/// executor, which is where its cancellation comes from. A cancellation in between is kept.
template <class Handler, class Subject>
class waiting_operation {
 public:
  template <class... Args>
  static void start(Handler handler, Args&&... subject) {
    const asio::any_io_executor executor = io_executor_of(handler);
    asio::any_io_executor home = executor;
    const bool here = place(home).here(false);
    post_memory memory;
    owner self;
    try {
      if (!here) memory.reserve(post_memory::blocks_for(executor));
      // The handler is taken after the memory is there.
      self = std::make_unique<waiting_operation>(executor, handler,
                                                 std::forward<Args>(subject)...);
      self->begin();
    } catch (const std::bad_alloc&) {
      // Nothing can be posted without memory, and nothing that is thrown out of here reaches a
      // coroutine that awaits this.
      if (self) return fail(std::move(self));
      return std::move(handler)(error_of(wait_end::failed));
    }
    if (here) return arm(std::move(self));
    const asio::any_io_executor& on = self->executor_;  // before `self` is moved, in any order
    resumption arms(on, [op = std::move(self)]() mutable { arm(std::move(op)); });
    arms.reserve(std::move(memory));
    arms.dispatch();
  }

  template <class... Args>
  waiting_operation(const asio::any_io_executor& executor, Handler& handler, Args&&... subject)
      : executor_(executor),
        work_(executor_),
        subject_(std::forward<Args>(subject)...),
        handler_(std::move(handler)) {}
  ~waiting_operation() { subject_.end(); }
  waiting_operation(const waiting_operation&) = delete;

 private:
  using owner = std::unique_ptr<waiting_operation>;

  /// Keeps the operation until it runs: dropped with the execution context, it takes it along.
  struct completion {
    using executor_type = asio::any_io_executor;
    executor_type get_executor() const noexcept { return op->executor_; }
    void operator()() { finish(std::move(op)); }

    owner op;
  };

  void begin() {
    auto& time = time_service::of(executor_);
    wait_state& wait = subject_.wait();
    wait.prepare(time, asio::get_associated_cancellation_slot(handler_));
    wait.listen();
    until_ = subject_.begin(time);
  }

  static void arm(owner self) {
    waiting_operation& op = *self;
    completion done{std::move(self)};
    try {
      op.subject_.wait().start(op.until_, std::move(done));
    } catch (const std::bad_alloc&) {
      fail(std::move(done.op));
    }
  }

  static void fail(owner self) {
    self->subject_.wait().fail();
    finish(std::move(self));
  }

  static void finish(owner self) {
    self->subject_.end();
    const auto ec = error_of(self->subject_.wait().finish());
    Handler handler(std::move(self->handler_));
    self.reset();  // before the handler, which may wait again
    std::move(handler)(ec);
  }

  asio::any_io_executor executor_;
  // The timer is no work of the context, but this is: `run()` waits for it.
  asio::executor_work_guard<asio::any_io_executor> work_;
  Subject subject_;
  time_point until_ = never;
  Handler handler_;
};

}  // namespace holdfast::detail

#endif
