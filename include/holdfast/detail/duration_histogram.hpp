// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_DURATION_HISTOGRAM_HPP
#define HOLDFAST_DETAIL_DURATION_HISTOGRAM_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/detail/sync.hpp>

namespace holdfast::detail {

/// Counts durations in buckets whose width grows with the value: four to each power of two, from a
/// microsecond to more than an hour. Thread-safe; one relaxed addition per sample.
class duration_histogram {
 public:
  void add(duration d) noexcept;

  std::uint64_t count() const noexcept;
  duration longest() const noexcept { return duration(longest_.load(std::memory_order_relaxed)); }

  /// The upper end of the bucket of the sample with that rank, at most a quarter above it and never
  /// above the longest. Zero where there is no sample. `q` is between 0 and 1.
  duration quantile(double q) const noexcept;

 private:
  static constexpr std::size_t sub_buckets = 4;
  static constexpr std::size_t size = 32 * sub_buckets;

  static std::size_t index_of(std::uint64_t microseconds) noexcept;
  static duration upper_end(std::size_t index) noexcept;

  std::array<sync::atomic<std::uint32_t>, size> buckets_{};
  sync::atomic<std::int64_t> longest_{0};
};

}  // namespace holdfast::detail

#endif
