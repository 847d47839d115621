// SPDX-License-Identifier: BSL-1.0
#include <holdfast/detail/chain_cancellation.hpp>
#include <holdfast/detail/resumption.hpp>
#include <mutex>

namespace holdfast::detail {

asio::cancellation_slot chain_cancellation::connect(asio::cancellation_slot caller) {
  if (!caller.is_connected()) return {};
  memory_.reserve(post_memory::blocks_for(executor_));
  caller.assign([self = shared_from_this()](asio::cancellation_type_t type) {
    self->request(type);
  });
  return signal_.slot();
}

bool chain_cancellation::begin() noexcept {
  const std::lock_guard lock(mutex_);
  begun_ = true;
  return !cancelled_;
}

void chain_cancellation::request(asio::cancellation_type_t type) {
  if (type == asio::cancellation_type::none) return;
  asio::any_io_executor executor;
  post_memory memory;
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    cancelled_ = true;
    executor = executor_;
    memory = std::move(memory_);
  }
  // The function's executor is read only while it is handed over.
  resumption passes(executor, [self = shared_from_this(), type] { self->pass(type); });
  passes.reserve(std::move(memory));
  passes.dispatch();
}

void chain_cancellation::pass(asio::cancellation_type_t type) {
  {
    const std::lock_guard lock(mutex_);
    // A coroutine that has not begun sees that it is cancelled when it does.
    if (!begun_ || ended_) return;
  }
  signal_.emit(type);
}

void chain_cancellation::end() noexcept {
  asio::any_io_executor last;  // given up outside of the lock
  const std::lock_guard lock(mutex_);
  ended_ = true;
  last = std::exchange(executor_, {});
}

}  // namespace holdfast::detail
