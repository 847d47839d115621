// SPDX-License-Identifier: BSL-1.0
#include <exception>
#include <holdfast/detail/home.hpp>

namespace holdfast::detail {

namespace {

/// Lets an exception out of the executor's context, as if the function that threw it had run there.
void hand_to(const asio::any_io_executor& executor, std::exception_ptr thrown) {
  resumption outside(executor, [e = std::move(thrown)] { std::rethrow_exception(e); });
  outside.reserve_at_any_cost();
  outside.post();
}

}  // namespace

void home::release_with_target() noexcept {
  int seen = references_.load(std::memory_order_relaxed);
  for (;;) {
    // Pinned before the count says that the chain may go.
    sync::atomic<unsigned>* const pins =
        seen - 1 == own_references_.load(std::memory_order_relaxed) ? &this->pins() : nullptr;
    if (pins) pins->fetch_add(1, std::memory_order_relaxed);
    const bool released = references_.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel,
                                                            std::memory_order_relaxed);
    if (released && pins) unused();
    if (pins) pins->fetch_sub(1, std::memory_order_release);
    if (!released) continue;
    if (seen == 1) delete this;
    return;
  }
}

void home::run_left(const cancellation_scope::visit& here) {
  struct taken {
    ~taken() { gate::post_all(first); }
    gate::waiting* first;
  } functions{scope_->door().take_waiting()};
  while (functions.first) {
    turn_over();
    if (here.gone()) return;
    auto& next = static_cast<left&>(*functions.first);
    functions.first = next.next;
    begin_turn();
    if (launching_) {
      // What a function of the user's throws is not for whoever launched the attempt.
      const asio::any_io_executor target = target_;
      try {
        next.run(next);
      } catch (...) {
        hand_to(target, std::current_exception());
      }
    } else {
      next.run(next);
    }
    if (here.gone()) return;
  }
}

}  // namespace holdfast::detail
