// SPDX-License-Identifier: BSL-1.0
#include <exception>
#include <holdfast/detail/left_behind.hpp>
#include <new>

#include "thread_store.hpp"

namespace holdfast::detail {

namespace {

/// Throws the exception out of the `run` of the executor's context.
void hand_to(const asio::any_io_executor& executor, std::exception_ptr thrown) {
  resumption outside(executor, [e = std::move(thrown)] { std::rethrow_exception(e); });
  outside.reserve_at_any_cost();
  outside.post();
}

struct left_functions;
constexpr std::size_t left_size = 128;
using store = thread_store<left_functions, left_size>;

}  // namespace

void* home::left::operator new(std::size_t size) {
  if (size > left_size) return ::operator new(size);
  void* const p = store::take();
  if (!p) throw std::bad_alloc();
  return p;
}

void home::left::operator delete(void* p, std::size_t size) noexcept {
  size > left_size ? ::operator delete(p) : store::give_back(p);
}

void home::release_with_target() noexcept {
  int seen = references_.load(std::memory_order_relaxed);
  for (;;) {
    // Pinned before the count allows the chain to be given up.
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
      // A user's exception must not reach the code that launched the attempt.
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
