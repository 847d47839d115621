// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_FAILURE_WINDOW_HPP
#define HOLDFAST_DETAIL_FAILURE_WINDOW_HPP

#include <array>
#include <cstdint>
#include <holdfast/detail/sync.hpp>
#include <holdfast/detail/window_counts.hpp>

namespace holdfast::detail {

/// Counts calls by their kind over a sliding time window of ten buckets.
///
/// A bucket is one word for each kind, which holds the number of its period and the count, so that
/// one instruction counts in it, and one compare-and-swap clears it for a new period. Safe from any
/// thread; a time that is a little behind another thread's counts into the newer period.
class failure_window {
 public:
  void add(call_kind k, std::int64_t period, std::uint64_t n = 1) noexcept {
    auto& bucket = buckets_[static_cast<std::size_t>(k)][bucket_of(period)];
    const std::uint64_t seen = bucket.load(std::memory_order_relaxed);
    if (seen >> count_bits == (static_cast<std::uint64_t>(period) & period_mask)) [[likely]] {
      // If another thread begins a new period meanwhile, this call counts into that.
      bucket.fetch_add(n, std::memory_order_relaxed);
      return;
    }
    begin(bucket, seen, period, n);
  }

  /// The same for the only thread that counts here: without a locked instruction.
  void add_alone(call_kind k, std::int64_t period) noexcept {
    auto& bucket = buckets_[static_cast<std::size_t>(k)][bucket_of(period)];
    const std::uint64_t seen = bucket.load(std::memory_order_relaxed);
    if (seen >> count_bits == (static_cast<std::uint64_t>(period) & period_mask)) [[likely]] {
      bucket.store(seen + 1, std::memory_order_relaxed);
      return;
    }
    begin(bucket, seen, period, 1);
  }

  void sum(window_counts& into, std::int64_t period) const noexcept;
  void clear() noexcept;

 private:
  // A word: 24 bits of the period's number, 40 bits of the count.
  static constexpr unsigned period_bits = 24;
  static constexpr unsigned count_bits = 64 - period_bits;
  static constexpr std::uint64_t period_mask = (std::uint64_t{1} << period_bits) - 1;
  static constexpr std::uint64_t count_mask = (std::uint64_t{1} << count_bits) - 1;
  using word = sync::atomic<std::uint64_t>;

  static void begin(word& bucket, std::uint64_t seen, std::int64_t period,
                    std::uint64_t n) noexcept;

  std::array<std::array<word, window_clock::buckets>, call_kinds> buckets_{};
};

/// The same in a quarter of the space: a bucket is one word for all kinds.
///
/// A bucket counts to 2047 of each kind; a full one halves all four, and so keeps its rate.
class packed_window {
 public:
  void add(call_kind k, std::int64_t period) noexcept;
  void sum(window_counts& into, std::int64_t period) const noexcept;
  void clear() noexcept;

  /// The most calls that a window is sure to tell apart from more.
  static constexpr unsigned most_calls = 10'000;

 private:
  // A word: 20 bits of the period's number, four counts of 11 bits.
  static constexpr unsigned period_bits = 20;
  static constexpr unsigned count_bits = 11;
  static constexpr unsigned period_shift = 64 - period_bits;
  static constexpr std::uint64_t period_mask = (std::uint64_t{1} << period_bits) - 1;
  static constexpr std::uint64_t count_mask = (std::uint64_t{1} << count_bits) - 1;

  static std::uint64_t count(std::uint64_t word, std::size_t kind) noexcept {
    return (word >> (kind * count_bits)) & count_mask;
  }
  static std::uint64_t halved(std::uint64_t word) noexcept;

  std::array<sync::atomic<std::uint64_t>, window_clock::buckets> buckets_{};
};

}  // namespace holdfast::detail

#endif
