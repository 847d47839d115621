// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_BULKHEAD_CORE_HPP
#define HOLDFAST_DETAIL_BULKHEAD_CORE_HPP

#include <array>
#include <cstdint>
#include <holdfast/detail/duration_histogram.hpp>
#include <holdfast/detail/sync.hpp>
#include <holdfast/detail/turn.hpp>
#include <holdfast/policy/bulkhead_options.hpp>
#include <string>

namespace holdfast::detail {

/// What became of a wish for permits.
enum class admission : std::uint8_t {
  granted,
  queued,
  refused,    ///< Nothing free, and no place in the queue.
  too_heavy,  ///< More than the limit.
  closed,
};

/// One who waits for the last permit to come back.
struct drain_wait {
  wait_state wait;
  drain_wait* next = nullptr;
  drain_wait* prev = nullptr;
  bool linked = false;
};

/// Permits and the queue for them.
///
/// How many permits are free and how many operations wait is one word: permits are taken with one
/// compare-and-swap and given back with one addition as long as nobody waits. While somebody does,
/// nothing free is given to anybody but by the queue, so nobody can overtake. The number of free
/// permits, and not of those taken, is kept, so that a change of the limit is one addition too; it
/// is negative while more are out than a lowered limit allows.
class bulkhead_core {
 public:
  explicit bulkhead_core(bulkhead_options options);

  bool try_acquire(unsigned weight = 1) noexcept {
    const std::uint64_t least = none_free + weight;
    std::uint64_t seen = word_.load(std::memory_order_relaxed);
    while (seen >= least && seen < waiting_one) {  // enough are free, and nobody waits
      if (word_.compare_exchange_weak(seen, seen - weight, std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }

  void release(unsigned weight = 1) noexcept {
    if (word_.fetch_add(weight, std::memory_order_release) >= waiting_one) [[unlikely]] serve();
  }

  /// Why a call that found nothing free is refused, where that is so whatever it is and no wait
  /// need be prepared for it; otherwise `admission::queued`: it has to ask.
  admission refuses_at_once(unsigned weight) const noexcept {
    const std::uint64_t seen = word_.load(std::memory_order_relaxed);
    if (seen & closed_bit) return admission::closed;
    if (weight > limit()) return admission::too_heavy;
    return seen >= waiting_one * surely_full_at_.load(std::memory_order_relaxed)
               ? admission::refused
               : admission::queued;
  }

  /// Takes permits or a place in the queue, for a turn whose wait is open and that knows its weight,
  /// its rank and until when it would wait; the queue may allow less.
  admission acquire_or_enqueue(turn& wish, time_point now);

  /// Leaves the queue. Permits that were given meanwhile go on to the next.
  void abandon(turn& w) noexcept;

  /// Counts an operation that was served by the queue.
  void count_queued(duration waited) noexcept { queue_time_.add(waited); }

  enum class refusal_reason : std::uint8_t { full, expired, evicted, too_heavy, closed };
  void count_refusal(refusal_reason r) noexcept {
    refused_[static_cast<std::size_t>(r)].fetch_add(1, std::memory_order_relaxed);
  }

  void reconfigure(bulkhead_options options);
  void resize(unsigned limit);
  void close() noexcept;

  /// Puts `w`, whose wait is open, among those who hear of the last permit; at once if none is out.
  void join(drain_wait& w) noexcept;
  void leave(drain_wait& w) noexcept;

  const std::string& name() const noexcept { return name_; }
  bulkhead_options options() const;
  unsigned limit() const noexcept { return limit_.load(std::memory_order_relaxed); }
  unsigned in_use() const noexcept;
  unsigned waiting() const noexcept {
    return static_cast<unsigned>((word_.load(std::memory_order_relaxed) & ~closed_bit) >> 32);
  }
  std::uint64_t refused() const noexcept;
  bulkhead_snapshot snapshot() const noexcept;
  void describe(std::string& out) const;

 private:
  // The word: free permits in the low half, `none_free` standing for zero; operations in the queue
  // in the high half, whose topmost bit tells that the bulkhead is closed.
  static constexpr std::uint64_t none_free = std::uint64_t{1} << 31;
  static constexpr std::uint64_t waiting_one = std::uint64_t{1} << 32;
  static constexpr std::uint64_t closed_bit = std::uint64_t{1} << 63;
  static constexpr std::uint64_t free_of(std::uint64_t word) noexcept {
    return word & (waiting_one - 1);
  }

  struct lane {
    turn* first = nullptr;
    turn* last = nullptr;
  };

  void serve() noexcept;
  bool can_serve() const noexcept;
  void serve_one(resumption& resumed) noexcept;
  void remove(drain_wait& w) noexcept;
  void refuse_all_above(unsigned weight, errc code) noexcept;
  void refuse_one(turn& w, errc code, resumption& resumed) noexcept;
  admission admit(turn& wish, time_point now, resumption& evicted) noexcept;
  bool comes_first(const turn& wish) const noexcept;
  turn* victim_for(const turn& wish) const noexcept;
  turn* next_turn() const noexcept;
  turn* oldest() const noexcept;
  duration longest_wait() const noexcept;
  void note_backlog(time_point now) noexcept;
  lane& lane_of(const turn& w) noexcept;
  void link(turn& w) noexcept;
  void unlink(turn& w) noexcept;
  void apply_limit(unsigned limit) noexcept;
  void apply_order(queue_order order) noexcept;
  void update_surely_full() noexcept;

  const std::string name_;
  sync::atomic<std::uint64_t> word_;
  sync::atomic<unsigned> limit_{0};            // of the options, for those who hold no lock
  sync::atomic<unsigned> surely_full_at_{0};
  std::array<sync::atomic<std::uint64_t>, 5> refused_{};
  duration_histogram queue_time_;

  mutable sync::mutex mutex_;  // guards what follows; held while the high half of the word changes
  bulkhead_options options_;
  bool closed_ = false;
  bool backlogged_ = false;          // the queue has not been empty for an interval
  time_point backlogged_since_{};    // when somebody last found it empty
  std::array<lane, priority_count>
      lanes_;  // only the first is used unless the order is by priority
  drain_wait* drains_ = nullptr;
};

}  // namespace holdfast::detail

#endif
