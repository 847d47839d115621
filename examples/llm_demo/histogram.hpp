// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>

namespace demo {

/// Latencies from 1 us to a minute in buckets that each are 4.4 % wide: quantiles that are right
/// to within a bucket, whatever the number of samples.
class histogram {
 public:
  void add(std::chrono::nanoseconds latency) {
    const double us = std::max(1.0, std::chrono::duration<double, std::micro>(latency).count());
    const auto bucket = static_cast<std::size_t>(std::log2(us) * per_octave);
    ++counts_[std::min(bucket, counts_.size() - 1)];
  }

  /// The upper end of the bucket that holds the quantile, in milliseconds; 0 without samples.
  double quantile_ms(double q) const {
    const auto total = std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0});
    if (total == 0) {
      return 0;
    }
    const auto rank = std::max<std::uint64_t>(
        1, static_cast<std::uint64_t>(std::ceil(q * static_cast<double>(total))));
    std::uint64_t seen = 0;
    std::size_t bucket = 0;
    while ((seen += counts_[bucket]) < rank) {
      ++bucket;
    }
    return std::exp2(static_cast<double>(bucket + 1) / per_octave) / 1000;
  }

 private:
  static constexpr int per_octave = 16;
  std::array<std::uint64_t, 26 * per_octave> counts_{};
};

}  // namespace demo
