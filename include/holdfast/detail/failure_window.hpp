// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_FAILURE_WINDOW_HPP
#define HOLDFAST_DETAIL_FAILURE_WINDOW_HPP

#include <array>
#include <atomic>
#include <cstdint>
#include <holdfast/clock.hpp>
#include <limits>

namespace holdfast::detail {

/// Counts good and bad calls over a sliding time window of ten buckets.
///
/// The current bucket and the nine before it count: never anything older than the window, and never
/// less than nine tenths of it. A bucket is one word that holds the number of its period and both
/// counts, so that one compare-and-swap clears it for a new period and counts in it. Safe from any
/// thread; a time that is a little behind another thread's counts into the newer period.
class failure_window {
 public:
  struct counts {
    std::uint64_t good = 0;
    std::uint64_t bad = 0;
    std::uint64_t total() const noexcept { return good + bad; }
  };

  /// A window of zero counts nothing.
  explicit failure_window(duration window) noexcept : width_(window.count() / size) {}

  bool enabled() const noexcept { return width_ > 0; }

  void add_good(time_point now) noexcept { add(now, good_one); }
  void add_bad(time_point now) noexcept {
    last_bad_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
    add(now, bad_one);
  }

  /// Whether any bad call may still count: false means the window needs no judging.
  bool may_hold_bad(time_point now) const noexcept {
    const auto last = last_bad_.load(std::memory_order_relaxed);
    return last != no_bad && now.time_since_epoch().count() - last < width_ * size;
  }

  counts sum(time_point now) const noexcept;
  void clear() noexcept;

 private:
  static constexpr std::int64_t size = 10;

  // A word: 24 bits of the period's number, 20 bits of good, 20 bits of bad.
  static constexpr unsigned count_bits = 20;
  static constexpr std::uint64_t count_mask = (std::uint64_t{1} << count_bits) - 1;
  static constexpr std::uint64_t bad_one = 1;
  static constexpr std::uint64_t good_one = std::uint64_t{1} << count_bits;
  static constexpr unsigned period_shift = 2 * count_bits;
  static constexpr std::uint64_t period_mask = (std::uint64_t{1} << 24) - 1;

  /// The number of the period. A division costs more than all the rest of a call, so the last answer
  /// is tried first.
  std::int64_t period(time_point now) const noexcept {
    const std::int64_t t = now.time_since_epoch().count();
    const std::int64_t recent = recent_period_.load(std::memory_order_relaxed);
    const std::int64_t since = t - recent * width_;
    if (since >= 0 && since < width_) [[likely]] return recent;
    const std::int64_t p = t / width_;
    recent_period_.store(p, std::memory_order_relaxed);
    return p;
  }

  /// How far the period of a word is ahead of `period`, modulo the 24 bits that are kept of it: a
  /// word that is behind looks as if it were very far ahead.
  static std::uint64_t ahead(std::uint64_t word, std::int64_t period) noexcept {
    return ((word >> period_shift) - static_cast<std::uint64_t>(period)) & period_mask;
  }

  /// Whether a word's counts are to go before `period` is counted in it. A word may be ahead, where
  /// another thread's clock is, but by no more than a window; anything further away is left from
  /// before a long silence or a jump of the clock. An empty word belongs to no period.
  static bool stale(std::uint64_t word, std::int64_t period) noexcept {
    return word == 0 || ahead(word, period) > static_cast<std::uint64_t>(size);
  }

  void add(time_point now, std::uint64_t one) noexcept {
    const std::int64_t p = period(now);
    auto& bucket = buckets_[static_cast<std::size_t>(p % size)];
    std::uint64_t seen = bucket.load(std::memory_order_relaxed);
    std::uint64_t wanted;
    do {
      wanted = stale(seen, p) ? (static_cast<std::uint64_t>(p) & period_mask) << period_shift : seen;
      if ((wanted & count_mask) == count_mask || ((wanted >> count_bits) & count_mask) == count_mask) {
        wanted = halved(wanted);
      }
      wanted += one;
    } while (!bucket.compare_exchange_weak(seen, wanted, std::memory_order_relaxed));
  }

  /// A full bucket keeps its rate.
  static std::uint64_t halved(std::uint64_t word) noexcept {
    const std::uint64_t good = ((word >> count_bits) & count_mask) / 2;
    const std::uint64_t bad = (word & count_mask) / 2;
    return (word >> period_shift << period_shift) | good << count_bits | bad;
  }

  std::int64_t width_;
  static constexpr std::int64_t no_bad = std::numeric_limits<std::int64_t>::min();
  std::atomic<std::int64_t> last_bad_{no_bad};  // the time of the last bad call
  mutable std::atomic<std::int64_t> recent_period_{0};
  std::array<std::atomic<std::uint64_t>, size> buckets_{};
};

}  // namespace holdfast::detail

#endif
