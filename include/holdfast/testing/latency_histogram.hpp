// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_TESTING_LATENCY_HISTOGRAM_HPP
#define HOLDFAST_TESTING_LATENCY_HISTOGRAM_HPP

#include <cstddef>
#include <cstdint>
#include <holdfast/clock.hpp>
#include <vector>

namespace holdfast::testing {

/// Counts durations in buckets that are a thousandth of their values wide: percentiles of as many
/// samples as one likes, in memory that grows with the longest of them only: 210 kB up to ten
/// seconds, 270 kB up to an hour, never more than 450 kB. Thread safety: none.
class latency_histogram {
 public:
  /// A negative duration counts as none. A few nanoseconds; allocates where `d` is longer than all
  /// before.
  void add(duration d);

  /// Takes over the samples of another.
  void add(const latency_histogram& other);

  /// Forgets all samples, and keeps the memory.
  void clear() noexcept;

  std::uint64_t count() const noexcept { return count_; }

  /// Exact; zero where there is no sample.
  duration shortest() const noexcept { return count_ == 0 ? duration::zero() : shortest_; }
  duration longest() const noexcept { return longest_; }

  /// The smallest duration that a share `q` of the samples, 0 to 1, do not exceed: never below the
  /// exact one, and above it by a thousandth at most. Zero where there is no sample.
  duration quantile(double q) const noexcept;

 private:
  std::vector<std::uint64_t> buckets_;
  std::uint64_t count_ = 0;
  duration shortest_ = duration::max();
  duration longest_{0};
};

}  // namespace holdfast::testing

#endif
