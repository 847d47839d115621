// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_RING_PLACE_HPP
#define HOLDFAST_DETAIL_RING_PLACE_HPP

#include <holdfast/detail/call_ring.hpp>
#include <holdfast/detail/sync.hpp>
#include <memory>
#include <utility>
#include <vector>

namespace holdfast::detail {

/// The ring that calls are counted in, if there is one. It can be replaced while calls count.
///
/// A ring that was replaced goes at the next moment at which a replacement finds no call inside of
/// one. In a single order of all such steps: a call that says that it is inside before that moment
/// is seen there, and one that says so after it finds the new ring.
class ring_place {
 public:
  /// Calls `function` with the ring; false if there is none.
  template <class Function>
  [[gnu::always_inline]] bool use(Function function) const noexcept {
    if (!ring_.load(std::memory_order_acquire)) [[likely]] return false;
    users_.fetch_add(1, std::memory_order_seq_cst);
    call_ring* const ring = ring_.load(std::memory_order_seq_cst);
    if (ring) function(*ring);
    users_.fetch_sub(1, std::memory_order_release);
    return ring != nullptr;
  }

  /// The ring, for whoever alone replaces it.
  call_ring* get() const noexcept { return ring_.load(std::memory_order_relaxed); }

  /// Puts another ring in place; null: none. One at a time.
  void replace(std::unique_ptr<call_ring> next) {
    rings_.reserve(rings_.size() + 1);
    ring_.store(next.get(), std::memory_order_seq_cst);
    std::swap(next, current_);
    if (next) rings_.push_back(std::move(next));
    if (users_.load(std::memory_order_seq_cst) == 0) rings_.clear();
  }

  /// How many rings wait for the calls inside of them.
  std::size_t replaced() const noexcept { return rings_.size(); }

 private:
  sync::atomic<call_ring*> ring_{nullptr};
  mutable sync::atomic<unsigned> users_{0};
  std::unique_ptr<call_ring> current_;
  std::vector<std::unique_ptr<call_ring>> rings_;  // replaced
};

}  // namespace holdfast::detail

#endif
