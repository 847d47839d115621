// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_BULKHEAD_CORE_HPP
#define HOLDFAST_DETAIL_BULKHEAD_CORE_HPP

#include <atomic>
#include <cstdint>
#include <holdfast/detail/operation.hpp>
#include <holdfast/policy/bulkhead_options.hpp>
#include <mutex>
#include <string>

namespace holdfast::detail {

/// What became of a wish for a permit.
enum class admission : std::uint8_t { granted, queued, refused };

/// Permits and the queue for them.
///
/// How many permits are out and how many operations wait is one word: a permit is taken or given
/// back with one compare-and-swap as long as nobody waits. A permit that comes back while somebody
/// does goes to the first in the queue and never passes through the free state, so nobody can
/// overtake. Invariant: permits out <= limit; somebody waits only while permits out == limit.
class bulkhead_core {
 public:
  explicit bulkhead_core(bulkhead_options options);

  bool try_acquire() noexcept {
    std::uint64_t seen = word_.load(std::memory_order_relaxed);
    while (seen < limit_word_) {  // nobody waits, and a permit is free
      if (word_.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }

  void release() noexcept {
    std::uint64_t seen = word_.load(std::memory_order_relaxed);
    while (seen < waiting_one) {
      if (word_.compare_exchange_weak(seen, seen - 1, std::memory_order_release,
                                      std::memory_order_relaxed)) {
        return;
      }
    }
    hand_over();
  }

  /// Takes a permit or a place in the queue, with the operation's wait opened.
  admission acquire_or_enqueue(operation& op, turn*& place) {
    turn& wish = op.prepare_wait();  // may allocate: before anything is counted
    const std::lock_guard lock(mutex_);
    std::uint64_t seen = word_.load(std::memory_order_relaxed);
    for (;;) {
      if (seen < limit_word_) {
        if (word_.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire)) {
          return admission::granted;
        }
      } else if (seen / waiting_one >= options_.queue) {
        return admission::refused;
      } else if (word_.compare_exchange_weak(seen, seen + waiting_one)) {
        place = &wish;
        link(wish);
        return admission::queued;
      }
    }
  }

  /// Leaves the queue. A permit that was given meanwhile goes on to the next.
  void abandon(turn& w) noexcept;

  const std::string& name() const noexcept { return options_.name; }
  const bulkhead_options& options() const noexcept { return options_; }
  unsigned limit() const noexcept { return options_.limit; }
  unsigned in_use() const noexcept {
    return static_cast<unsigned>(word_.load(std::memory_order_relaxed) & in_use_mask);
  }
  unsigned waiting() const noexcept {
    return static_cast<unsigned>(word_.load(std::memory_order_relaxed) / waiting_one);
  }
  std::uint64_t refused() const noexcept { return refused_.load(std::memory_order_relaxed); }
  void count_refusal() noexcept { refused_.fetch_add(1, std::memory_order_relaxed); }
  void describe(std::string& out) const;

 private:
  // The word: permits out in the low half, operations in the queue in the high half.
  static constexpr std::uint64_t waiting_one = std::uint64_t{1} << 32;
  static constexpr std::uint64_t in_use_mask = waiting_one - 1;

  void hand_over() noexcept;
  void link(turn& w) noexcept;
  void unlink(turn& w) noexcept;

  const bulkhead_options options_;
  const std::uint64_t limit_word_;
  std::atomic<std::uint64_t> word_{0};
  std::atomic<std::uint64_t> refused_{0};

  std::mutex mutex_;  // guards the queue; held while the high half of the word changes
  turn* first_ = nullptr;
  turn* last_ = nullptr;
};

}  // namespace holdfast::detail

#endif
