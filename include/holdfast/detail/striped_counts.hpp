// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_STRIPED_COUNTS_HPP
#define HOLDFAST_DETAIL_STRIPED_COUNTS_HPP

#include <atomic>
#include <cstdint>
#include <holdfast/detail/calls_in_flight.hpp>
#include <holdfast/detail/failure_window.hpp>
#include <holdfast/detail/thread_slot.hpp>
#include <holdfast/detail/window_counts.hpp>
#include <limits>
#include <memory>

namespace holdfast::detail {

/// Counts of calls, spread over stripes so that threads do not fight for one cache line: a shared
/// counter gives two threads together less than half the throughput of one.
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
    mine().window.add(call_kind::good, period);
    return may_hold_bad(period) && settled_.load(std::memory_order_relaxed) != period;
  }

  void add(call_kind k, std::int64_t period, std::uint64_t n = 1) noexcept;
  window_counts sum(std::int64_t period) const noexcept;
  void clear() noexcept;

  /// Whether any bad call may still count.
  bool may_hold_bad(std::int64_t period) const noexcept {
    const std::int64_t bad = last_bad_.load(std::memory_order_relaxed);
    return bad != none && period - bad < window_clock::buckets;
  }

  /// Notes that no rate was reached, with enough calls to judge: until the period ends only another
  /// bad call can change that, since good ones make the rates smaller.
  void settle(std::int64_t period) noexcept { settled_.store(period, std::memory_order_relaxed); }
  void unsettle() noexcept { settled_.store(none, std::memory_order_relaxed); }

  bool enter(std::uint64_t generation, std::int64_t span, unsigned& lane) noexcept {
    lane = this->lane();
    return stripes_[lane].in_flight.enter(generation, span);
  }
  void leave(std::uint64_t generation, std::int64_t span, unsigned lane) noexcept {
    stripes_[lane & mask_].in_flight.leave(generation, span);
  }
  std::uint64_t late(std::uint64_t generation, std::int64_t span) const noexcept;
  void clear_in_flight(std::uint64_t generation) noexcept;

  void count_refusal() noexcept { mine().refused.fetch_add(1, std::memory_order_relaxed); }
  std::uint64_t refused() const noexcept;

 private:
  struct alignas(128) stripe {  // two lines: processors fetch the neighbour as well
    failure_window window;
    calls_in_flight in_flight;
    std::atomic<std::uint64_t> refused{0};
  };
  static constexpr std::int64_t none = std::numeric_limits<std::int64_t>::min();

  unsigned lane() const noexcept { return thread_slot() & mask_; }
  stripe& mine() const noexcept { return stripes_[lane()]; }

  unsigned mask_;
  std::unique_ptr<stripe[]> stripes_;
  std::atomic<std::int64_t> last_bad_{none};  // the period of the last bad call
  std::atomic<std::int64_t> settled_{none};
};

}  // namespace holdfast::detail

#endif
