// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_GATE_HPP
#define HOLDFAST_DETAIL_GATE_HPP

#include <cstdint>
#include <holdfast/detail/sync.hpp>

namespace holdfast::detail {

/// Lets one thread at a time run what belongs to one attempt, without making another thread wait:
/// what finds the gate taken leaves a note, and the owner sees to it before it leaves. A cancellation
/// leaves a bit, a function leaves itself.
///
/// One word. Cost where it is free: one compare-and-swap to enter, one to leave.
class gate {
 public:
  /// A function that found the gate taken. `post` hands it to its executor, to try again there.
  struct waiting {
    explicit waiting(void (*p)(waiting&) noexcept) noexcept : post(p) {}
    waiting* next = nullptr;
    void (*post)(waiting&) noexcept;
  };

  /// Whether the current thread is inside.
  bool mine() const noexcept {
    return owner_.load(std::memory_order_relaxed) == sync::this_thread();
  }

  /// Whether nobody is inside; what the last owner has done is seen.
  bool is_free() const noexcept { return word_.load(std::memory_order_acquire) == free; }

  bool try_enter() noexcept {
    std::uintptr_t expected = free;
    return entered(word_.compare_exchange_strong(expected, taken, std::memory_order_acquire,
                                                 std::memory_order_relaxed));
  }

  /// For what is short, or must not fail.
  void enter() noexcept {
    for (unsigned looks = 0; !try_enter(); ++looks) sync::relax(looks);
  }

  /// False: the gate is taken, and its owner will ring on its way out.
  bool enter_or_ring() noexcept {
    std::uintptr_t seen = word_.load(std::memory_order_relaxed);
    for (;;) {
      if (seen == free) {
        if (word_.compare_exchange_weak(seen, taken, std::memory_order_acquire,
                                        std::memory_order_relaxed)) {
          return entered(true);
        }
      } else if (word_.compare_exchange_weak(seen, seen | rung, std::memory_order_release,
                                             std::memory_order_relaxed)) {
        return false;
      }
    }
  }

  /// False: the gate is taken, and its owner will post `w` on its way out.
  bool enter_or_push(waiting& w) noexcept {
    std::uintptr_t seen = word_.load(std::memory_order_relaxed);
    for (;;) {
      if (seen == free) {
        if (word_.compare_exchange_weak(seen, taken, std::memory_order_acquire,
                                        std::memory_order_relaxed)) {
          return entered(true);
        }
      } else {
        w.next = reinterpret_cast<waiting*>(seen & ~flags);
        const auto pushed = reinterpret_cast<std::uintptr_t>(&w) | (seen & flags);
        if (word_.compare_exchange_weak(seen, pushed, std::memory_order_release,
                                        std::memory_order_relaxed)) {
          return false;
        }
      }
    }
  }

  /// From inside: takes the functions that have been left here so far, oldest first, for the owner to
  /// run or to post.
  waiting* take_waiting() noexcept {
    if ((word_.load(std::memory_order_relaxed) & ~flags) == 0) [[likely]] return nullptr;
    return in_order(word_.fetch_and(flags, std::memory_order_acquire));
  }

  /// Posts functions that were taken.
  static void post_all(waiting* oldest) noexcept {
    while (oldest) {
      waiting* const next = oldest->next;
      oldest->post(*oldest);
      oldest = next;
    }
  }

  /// From inside: the owner, which is the current thread, rings on its way out.
  void ring_on_leaving() noexcept { word_.fetch_or(rung, std::memory_order_relaxed); }

  /// Leaves; before that calls `ring` if somebody rang, which returns false if it has left the gate
  /// itself. Once left, nothing of this object is touched: it may be gone.
  template <class Ring>
  void leave(Ring&& ring) noexcept {
    for (;;) {
      owner_.store(0, std::memory_order_relaxed);
      std::uintptr_t seen = taken;
      if (word_.compare_exchange_strong(seen, free, std::memory_order_release,
                                        std::memory_order_relaxed)) [[likely]] {
        return;
      }
      owner_.store(sync::this_thread(), std::memory_order_relaxed);
      seen = word_.exchange(taken, std::memory_order_acq_rel);
      post_all(in_order(seen));
      if ((seen & rung) && !ring()) return;
    }
  }

 private:
  static constexpr std::uintptr_t free = 0;
  static constexpr std::uintptr_t taken = 1;
  static constexpr std::uintptr_t rung = 2;
  static constexpr std::uintptr_t flags = taken | rung;  // the rest is the newest of `waiting`

  bool entered(bool in) noexcept {
    if (in) owner_.store(sync::this_thread(), std::memory_order_relaxed);
    return in;
  }

  static waiting* in_order(std::uintptr_t word) noexcept {
    auto* newest = reinterpret_cast<waiting*>(word & ~flags);
    waiting* oldest = nullptr;
    while (newest) {
      waiting* const next = newest->next;
      newest->next = oldest;
      oldest = newest;
      newest = next;
    }
    return oldest;
  }

  sync::atomic<std::uintptr_t> word_{free};
  sync::atomic<std::uintptr_t> owner_{0};  // only ever compared with the current thread
};

}  // namespace holdfast::detail

#endif
