// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_WINDOW_COUNTS_HPP
#define HOLDFAST_DETAIL_WINDOW_COUNTS_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/detail/sync.hpp>

namespace holdfast::detail {

/// What a call that has ended was. A call that failed may have been slow as well.
enum class call_kind : std::uint8_t { good, slow, failed, failed_slow };
inline constexpr std::size_t call_kinds = 4;

/// How many calls of each kind a window holds.
struct window_counts {
  std::uint64_t good = 0;
  std::uint64_t slow = 0;
  std::uint64_t failed = 0;
  std::uint64_t failed_slow = 0;

  std::uint64_t total() const noexcept { return good + bad(); }
  /// Failed or slow.
  std::uint64_t bad() const noexcept { return slow + failed + failed_slow; }
  std::uint64_t all_failed() const noexcept { return failed + failed_slow; }
  std::uint64_t all_slow() const noexcept { return slow + failed_slow; }

  void add(call_kind k, std::uint64_t n) noexcept {
    switch (k) {
      case call_kind::good: good += n; break;
      case call_kind::slow: slow += n; break;
      case call_kind::failed: failed += n; break;
      case call_kind::failed_slow: failed_slow += n; break;
    }
  }
  friend bool operator==(const window_counts&, const window_counts&) = default;
};

/// Divides time into the periods of a window's buckets. Shared by everything that counts in it.
///
/// Ten buckets make a window: the current one and the nine before it count, so never anything older
/// than the window, and never less than nine tenths of it.
class window_clock {
 public:
  static constexpr std::int64_t buckets = 10;

  /// A window of zero counts nothing.
  explicit window_clock(duration window) noexcept : width_(window.count() / buckets) {}

  bool enabled() const noexcept { return width_.load(std::memory_order_relaxed) > 0; }

  /// Changes the window. What was counted belongs to periods of the old width: move it first.
  void change(duration window) noexcept {
    width_.store(window.count() / buckets, std::memory_order_relaxed);
    recent_.store(0, std::memory_order_relaxed);
  }

  /// The number of the period. A division costs more than all the rest of a call, so the last
  /// answer is tried first.
  std::int64_t period(time_point now) const noexcept {
    const std::int64_t width = width_.load(std::memory_order_relaxed);
    const std::int64_t t = now.time_since_epoch().count();
    const std::int64_t recent = recent_.load(std::memory_order_relaxed);
    // Unsigned: a wrong guess may overflow, and is then out of range like any other.
    const auto since = static_cast<std::uint64_t>(t) -
                       static_cast<std::uint64_t>(recent) * static_cast<std::uint64_t>(width);
    if (since < static_cast<std::uint64_t>(width)) [[likely]] return recent;
    return width > 0 ? find(t, width) : 0;
  }

 private:
  std::int64_t find(std::int64_t t, std::int64_t width) const noexcept {
    const std::int64_t p = t / width;
    if (p > recent_.load(std::memory_order_relaxed)) recent_.store(p, std::memory_order_relaxed);
    return p;
  }

  sync::atomic<std::int64_t> width_;
  mutable sync::atomic<std::int64_t> recent_{0};
};

/// The bucket of a period.
inline std::size_t bucket_of(std::int64_t period) noexcept {
  return static_cast<std::size_t>(static_cast<std::uint64_t>(period) %
                                  static_cast<std::uint64_t>(window_clock::buckets));
}

/// How far a period whose number was kept in `bits` bits is ahead of `period`, modulo these bits:
/// one that is behind looks as if it were very far ahead.
template <unsigned Bits>
constexpr std::uint64_t periods_ahead(std::uint64_t kept, std::int64_t period) noexcept {
  return (kept - static_cast<std::uint64_t>(period)) & ((std::uint64_t{1} << Bits) - 1);
}

/// Whether a bucket's counts are to go before `period` is counted in it. They may be ahead, where
/// another thread's clock is, but by no more than a window; anything further away is left from
/// before a long silence or a jump of the clock.
template <unsigned Bits>
constexpr bool is_stale(std::uint64_t kept, std::int64_t period) noexcept {
  return periods_ahead<Bits>(kept, period) > static_cast<std::uint64_t>(window_clock::buckets);
}

/// Whether a bucket's counts are part of the window at `period`: from the nine periods before it,
/// to a window ahead of it.
template <unsigned Bits>
constexpr bool is_current(std::uint64_t kept, std::int64_t period) noexcept {
  return periods_ahead<Bits>(kept, period - window_clock::buckets + 1) <
         2 * static_cast<std::uint64_t>(window_clock::buckets);
}

}  // namespace holdfast::detail

#endif
