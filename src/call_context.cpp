// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <holdfast/call_context.hpp>
#include <holdfast/detail/operation.hpp>

#include "detail/thread_store.hpp"

namespace holdfast {

duration call_context::remaining() const noexcept {
  if (deadline() == never) return duration::max();
  return std::max(deadline() - now(), duration::zero());
}

void call_context::arm() {
  static_cast<detail::operation&>(*this).start(limit.at);  // may throw: to be armed the next time
  unarmed_ = false;
}

void call_context::hear_chain(const asio::cancellation_slot& slot) noexcept {
  const auto& op = static_cast<const detail::operation&>(*this);
  // The call may have replaced the chain's state. If the slots are equal, the new one lies in the place
  // of the old, and may be read.
  if (op.coroutine.slot() != slot) return;
  const auto type = op.coroutine.cancelled();
  if (!!type) [[unlikely]] scope_.note(op.why_chain_is_cancelled(), type);
}

asio::cancellation_slot call_context::slot() {
  if (!slot_) {
    slot_.reset(new detail::signal_listener);
    const detail::cancellation_scope::entry in(scope_);
    used_ = true;
    scope_.link(*slot_);
  }
  if (unarmed_) arm();
  return slot_->signal.slot();
}

namespace detail {

namespace {

using listener_store = thread_store<signal_listener, sizeof(signal_listener)>;

}  // namespace

void* signal_listener::operator new(std::size_t) {
  void* const p = listener_store::take();
  if (!p) throw std::bad_alloc();
  return p;
}

void signal_listener::operator delete(void* p) noexcept { listener_store::give_back(p); }

}  // namespace detail
}  // namespace holdfast
