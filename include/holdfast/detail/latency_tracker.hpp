// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_LATENCY_TRACKER_HPP
#define HOLDFAST_DETAIL_LATENCY_TRACKER_HPP

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/detail/sync.hpp>
#include <optional>

namespace holdfast::detail {

/// The distribution of recent latencies, for live percentiles.
///
/// A histogram with eight buckets for each power of two of about a microsecond (as HdrHistogram
/// lays them out): a percentile is exact to 12.5 %, never below the true one. Two halves of the
/// window take turns: what counts is never older than the window, and never less than half of it.
///
/// Thread safety: safe from any thread. When the halves change places, a latency that another
/// thread records at that moment may be lost. Cost of a record: one relaxed increment.
class latency_tracker {
 public:
  /// `window` is more than zero.
  explicit latency_tracker(duration window) noexcept
      : half_(std::max<std::int64_t>(window.count() / 2, 1)) {}

  void record(duration latency, time_point now) noexcept {
    turn(now);
    auto& current = halves_[static_cast<std::size_t>(half_of(now) & 1)];
    current.counts[bucket_of(latency)].fetch_add(1, std::memory_order_relaxed);
  }

  /// The latency that a share `q` of the recent calls did not exceed; none below `minimum` calls.
  /// Cost: reads the whole histogram, some 500 words.
  std::optional<duration> quantile(double q, std::uint64_t minimum, time_point now) noexcept;

 private:
  static constexpr unsigned sub_bits = 3;
  static constexpr unsigned unit_bits = 10;  // a unit is 1,024 ns
  static constexpr std::size_t buckets = 256;

  struct half {
    std::array<sync::atomic<std::uint32_t>, buckets> counts{};
  };

  static std::size_t bucket_of(duration latency) noexcept {
    const auto units =
        static_cast<std::uint64_t>(std::max<std::int64_t>(latency.count(), 0)) >> unit_bits;
    if (units < (1u << sub_bits)) return static_cast<std::size_t>(units);
    const unsigned shift = static_cast<unsigned>(std::bit_width(units)) - 1 - sub_bits;
    const std::size_t at =
        (std::size_t{shift + 1} << sub_bits) + ((units >> shift) & ((1u << sub_bits) - 1));
    return std::min(at, buckets - 1);
  }
  static duration end_of(std::size_t bucket) noexcept;

  std::int64_t half_of(time_point now) const noexcept {
    return now.time_since_epoch().count() / half_;
  }
  void turn(time_point now) noexcept {
    if (half_of(now) != current_.load(std::memory_order_relaxed)) [[unlikely]]
      turn_to(half_of(now));
  }
  void turn_to(std::int64_t number) noexcept;

  std::int64_t half_;  // the length of a half, in nanoseconds
  sync::atomic<std::int64_t> current_{0};
  std::array<half, 2> halves_{};
};

}  // namespace holdfast::detail

#endif
