// SPDX-License-Identifier: BSL-1.0
#include <holdfast/detail/cancellation_scope.hpp>

namespace holdfast::detail {

bool cancellation_scope::emit() noexcept {
  visit here(*this);
  // From the beginning after each: what was told may have ended, with others, and others may have
  // begun.
  for (scope_listener* l = listeners_; l;) {
    const auto types = static_cast<std::uint8_t>(
        (types_of(state()) | l->wanted.exchange(0, std::memory_order_relaxed)) & ~l->told);
    if (types == 0) {
      l = l->next;
      continue;
    }
    l->told |= types;
    try {
      l->tell(*l, type_of(types));
    } catch (...) {
      // No memory to hand the cancellation on. The scope stays cancelled, and the next operation
      // that starts in it ends.
    }
    if (here.gone()) return false;
    l = listeners_;
  }
  return true;
}

void cancellation_scope::close() noexcept {
  if (!gate_.mine()) gate_.enter();
  state_.store(0, std::memory_order_relaxed);
  while (listeners_) unlink(*listeners_);
  release();
}

void cancellation_scope::release() noexcept {
  while (visits_) std::exchange(visits_, visits_->outer_)->scope_ = nullptr;
  leave();
}

}  // namespace holdfast::detail
