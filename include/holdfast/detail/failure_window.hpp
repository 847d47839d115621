// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_FAILURE_WINDOW_HPP
#define HOLDFAST_DETAIL_FAILURE_WINDOW_HPP

#include <array>
#include <atomic>
#include <cstdint>
#include <holdfast/clock.hpp>

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
    last_bad_.store(period(now) + 1, std::memory_order_relaxed);
    add(now, bad_one);
  }

  /// Whether any bad call may still count: false means the window needs no judging.
  bool may_hold_bad(time_point now) const noexcept {
    const auto last = last_bad_.load(std::memory_order_relaxed);
    return last != 0 && period(now) < last - 1 + size;
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

  std::int64_t period(time_point now) const noexcept {
    return now.time_since_epoch().count() / width_;
  }

  /// How far the period of a word is ahead of `period`; negative if it is behind.
  static std::int64_t ahead(std::uint64_t word, std::int64_t period) noexcept {
    const auto difference =
        ((word >> period_shift) - static_cast<std::uint64_t>(period)) & period_mask;
    return difference > period_mask / 2 ? static_cast<std::int64_t>(difference) -
                                              static_cast<std::int64_t>(period_mask) - 1
                                        : static_cast<std::int64_t>(difference);
  }

  void add(time_point now, std::uint64_t one) noexcept {
    const std::int64_t p = period(now);
    auto& bucket = buckets_[static_cast<std::size_t>(p % size)];
    std::uint64_t seen = bucket.load(std::memory_order_relaxed);
    std::uint64_t wanted;
    do {
      const bool stale = ahead(seen, p) < 0;
      wanted = stale ? (static_cast<std::uint64_t>(p) & period_mask) << period_shift : seen;
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
  std::atomic<std::int64_t> last_bad_{0};  // period of the last bad call, plus 1; 0 for none
  std::array<std::atomic<std::uint64_t>, size> buckets_{};
};

}  // namespace holdfast::detail

#endif
