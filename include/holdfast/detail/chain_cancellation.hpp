// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_CHAIN_CANCELLATION_HPP
#define HOLDFAST_DETAIL_CHAIN_CANCELLATION_HPP

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <holdfast/detail/post_memory.hpp>
#include <holdfast/detail/sync.hpp>
#include <memory>
#include <utility>

namespace holdfast::detail {

namespace asio = boost::asio;

/// Passes the caller's cancellation to a coroutine that was started on an executor. `co_spawn`
/// alone forgets what is emitted before the coroutine's first step.
///
/// Emission is safe from any thread: it goes to the coroutine's executor, and runs there and then
/// on a thread that is inside of it. After the end it does nothing, and touches no executor.
class chain_cancellation : public std::enable_shared_from_this<chain_cancellation> {
 public:
  explicit chain_cancellation(asio::any_io_executor executor) noexcept
      : executor_(std::move(executor)) {}
  virtual ~chain_cancellation() = default;
  chain_cancellation(const chain_cancellation&) = delete;

  /// Hears the caller's slot. The coroutine is to be started with the slot that this returns.
  asio::cancellation_slot connect(asio::cancellation_slot caller);

  /// The coroutine is about to begin: false if it has been cancelled. On its executor.
  bool begin() noexcept;

  const asio::any_io_executor& executor() const noexcept { return executor_; }

  /// Goes with the coroutine, whether that ran or not.
  class until_end {
   public:
    explicit until_end(std::shared_ptr<chain_cancellation> c) noexcept : of_(std::move(c)) {}
    until_end(until_end&&) noexcept = default;
    until_end& operator=(until_end&&) = delete;
    ~until_end() {
      if (of_) of_->end();
    }

   private:
    std::shared_ptr<chain_cancellation> of_;
  };

 private:
  void request(asio::cancellation_type_t type);
  void pass(asio::cancellation_type_t type);
  void end() noexcept;

  asio::cancellation_signal signal_;  // on the executor

  sync::mutex mutex_;  // guards what follows
  asio::any_io_executor executor_;
  post_memory memory_;  // for the first emission from outside
  bool cancelled_ = false;
  bool begun_ = false;
  bool ended_ = false;
};

}  // namespace holdfast::detail

#endif
