// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_STRIPED_COUNTS_HPP
#define HOLDFAST_DETAIL_STRIPED_COUNTS_HPP

#include <cstdint>
#include <holdfast/detail/calls_in_flight.hpp>
#include <holdfast/detail/failure_window.hpp>
#include <holdfast/detail/sync.hpp>
#include <holdfast/detail/thread_slot.hpp>
#include <holdfast/detail/window_counts.hpp>
#include <limits>
#include <memory>

namespace holdfast::detail {

/// Counts of calls, spread over stripes so that threads do not fight for one cache line: a shared
/// counter gives two threads together less than half the throughput of one. The first threads have
/// a stripe each, and count good calls there without a locked instruction; the rest share some.
///
/// A sum goes over all stripes. It sees every call whose counting was over before it began, and of
/// those that are counted meanwhile, on other threads, some; so it is off by no more than one call
/// for each such thread, and by nothing once they are done. Each bad call is counted before the
/// rates are judged on its account: of two at once, the later one sees both.
class striped_counts {
 public:
  static constexpr unsigned most_stripes = 16;

  striped_counts();

  /// Counts a good call. True: the rates are to be judged, since a bad call may be in the window
  /// and nobody has judged them in this period.
  bool add_good(std::int64_t period) noexcept {
    const std::int64_t p = numbered(period);
    const std::uint32_t slot = thread_slot();
    if (slot < own_) [[likely]] {
      stripes_[slot].window.add_alone(call_kind::good, p);
    } else {
      shared(slot).window.add(call_kind::good, p);
    }
    return holds_bad(p) && settled_.load(std::memory_order_relaxed) != p;
  }

  void add(call_kind k, std::int64_t period, std::uint64_t n = 1) noexcept;
  window_counts sum(std::int64_t period) const noexcept;

  /// Forgets everything. Not for two threads at once.
  void clear() noexcept;

  /// The same before the periods get other numbers.
  void clear_for_renumbering() noexcept;

  /// Whether any bad call may still count.
  bool may_hold_bad(std::int64_t period) const noexcept { return holds_bad(numbered(period)); }

  /// Notes that no rate was reached, with enough calls to judge: until the period ends only another
  /// bad call can change that, since good ones make the rates smaller.
  void settle(std::int64_t period) noexcept {
    settled_.store(numbered(period), std::memory_order_relaxed);
  }
  void unsettle() noexcept { settled_.store(none, std::memory_order_relaxed); }

  bool enter(std::uint64_t generation, std::int64_t span, unsigned& lane) noexcept {
    lane = this->lane();
    return stripes_[lane].in_flight.enter(generation, span);
  }
  void leave(std::uint64_t generation, std::int64_t span, unsigned lane) noexcept {
    stripes_[lane & (own_ - 1)].in_flight.leave(generation, span);
  }
  std::uint64_t late(std::uint64_t generation, std::int64_t span) const noexcept;
  void clear_in_flight(std::uint64_t generation) noexcept;

  void count_refusal() noexcept { mine().refused.fetch_add(1, std::memory_order_relaxed); }
  std::uint64_t refused() const noexcept;

 private:
  struct alignas(128) stripe {  // two lines: processors fetch the neighbour as well
    failure_window window;
    calls_in_flight in_flight;
    sync::atomic<std::uint64_t> refused{0};
  };
  static constexpr std::int64_t none = std::numeric_limits<std::int64_t>::min();

  // What is cleared becomes older than any window, all at once: to clear the counts themselves
  // would fail where their thread is counting.
  static constexpr std::int64_t leap = 32;
  static_assert(leap > 2 * window_clock::buckets);
  std::int64_t numbered(std::int64_t period) const noexcept {
    return period + leapt_.load(std::memory_order_relaxed);
  }
  bool holds_bad(std::int64_t numbered) const noexcept {
    const std::int64_t bad = last_bad_.load(std::memory_order_relaxed);
    return bad != none && numbered - bad < window_clock::buckets;
  }

  unsigned lane() const noexcept { return thread_slot() & (own_ - 1); }
  stripe& shared(std::uint32_t slot) const noexcept {
    return stripes_[own_ + (slot & (own_ / 2 - 1))];
  }
  stripe& mine() const noexcept {
    const std::uint32_t slot = thread_slot();
    return slot < own_ ? stripes_[slot] : shared(slot);
  }
  unsigned stripes() const noexcept { return own_ + own_ / 2; }

  const unsigned own_;  // a power of two, at least 4
  const std::unique_ptr<stripe[]> stripes_;
  sync::atomic<std::int64_t> leapt_{0};
  sync::atomic<std::int64_t> last_bad_{none};  // the period of the last bad call
  sync::atomic<std::int64_t> settled_{none};
};

}  // namespace holdfast::detail

#endif
