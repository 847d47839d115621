// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_DETACH_STATE_HPP
#define HOLDFAST_DETAIL_DETACH_STATE_HPP

#include <holdfast/clock.hpp>
#include <holdfast/detail/sync.hpp>
#include <holdfast/detail/timeout_terms.hpp>
#include <memory>
#include <utility>

namespace holdfast::detail {

/// What the abandoned calls of one detaching timeout share. Lives as long as any of them.
struct detach_state : std::enable_shared_from_this<detach_state> {
  detach_state(unsigned l, duration g, timeout_terms t)
      : limit(l), grace(g), terms(std::move(t)) {}

  bool full() const noexcept { return running->load(std::memory_order_relaxed) >= limit; }

  const unsigned limit;
  const duration grace;
  const timeout_terms terms;  // make the failure of an operation whose call is abandoned
  /// How many run: of this timeout, or of all temporaries of one type. Set before the first begins.
  sync::atomic<unsigned>* running = &own;

 private:
  sync::atomic<unsigned> own{0};
};

/// The place that an abandoned call takes among those that may be.
class detached_call {
 public:
  detached_call() noexcept = default;
  detached_call(detached_call&&) noexcept = default;
  detached_call& operator=(detached_call&& other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~detached_call() { end(); }

  /// False if there are as many as may be.
  bool begin(detach_state& state) noexcept {
    if (state.running->fetch_add(1, std::memory_order_relaxed) >= state.limit) {
      state.running->fetch_sub(1, std::memory_order_relaxed);
      return false;
    }
    state_ = state.shared_from_this();
    return true;
  }
  void end() noexcept {
    if (const auto state = std::exchange(state_, nullptr)) {
      state->running->fetch_sub(1, std::memory_order_relaxed);
    }
  }

 private:
  std::shared_ptr<detach_state> state_;
};

}  // namespace holdfast::detail

#endif
