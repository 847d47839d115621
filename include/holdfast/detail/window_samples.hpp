// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_WINDOW_SAMPLES_HPP
#define HOLDFAST_DETAIL_WINDOW_SAMPLES_HPP

#include <algorithm>
#include <array>
#include <cstdint>
#include <holdfast/clock.hpp>
#include <limits>

namespace holdfast::detail {

/// What ever-growing counters stood at when each of the last periods began: the memory of a sliding
/// window. The counters' own totals less a sample are what was counted since.
///
/// A period is 1/32 of the window. `within()` gives a span of between 31/32 and all of the window,
/// `beyond()` one of between all of it and 33/32. Guarded by its owner.
template <class Totals>
class window_samples {
 public:
  static constexpr std::int64_t periods = 32;

  /// A window of at least 32 ns; a remainder of less than that is cut off.
  explicit window_samples(duration window) noexcept : width_(window.count() / periods) {}

  /// Goes on to the period of `now`, whose beginning, and that of every period passed over, finds
  /// `totals`: nothing was counted since. A time in an earlier period changes nothing.
  void advance(time_point now, const Totals& totals) noexcept {
    const std::int64_t period = period_of(now);
    if (period <= current_) return;
    const std::int64_t first = std::max(current_ + 1, period - periods);
    for (std::int64_t p = first; p <= period; ++p) sample(p) = totals;
    current_ = period;
  }

  /// When the next period begins; before the first `advance`, at the beginning of time.
  time_point next() const noexcept {
    if (current_ == before_time) return time_point::min();
    const auto limit = std::numeric_limits<std::int64_t>::max() / width_;
    return current_ >= limit ? never : time_point(duration((current_ + 1) * width_));
  }

  const Totals& within() const noexcept { return sample(current_ - periods + 1); }
  const Totals& beyond() const noexcept { return sample(current_ - periods); }

  /// What was known at the last beginning of a period not after `t`; the oldest known if none was.
  const Totals& at_or_before(time_point t) const noexcept {
    return sample(std::clamp(period_of(t), current_ - periods, current_));
  }

  /// What was known at the first beginning of a period not before `t`; `totals` if none was.
  const Totals& at_or_after(time_point t, const Totals& totals) const noexcept {
    const std::int64_t p = period_of(t + duration(width_ - 1));
    return p > current_ ? totals : sample(std::max(p, current_ - periods));
  }

  /// Whether `beyond()` reaches back to `t`.
  bool covers(time_point t) const noexcept { return period_of(t) >= current_ - periods; }

  /// Changes what the periods after that of `t` found.
  template <class Change>
  void change_after(time_point t, Change change) noexcept {
    for (std::int64_t p = std::max(period_of(t) + 1, current_ - periods); p <= current_; ++p) {
      change(sample(p));
    }
  }

  /// The same memory for a window of another length, at `now`: `pick` gives the sample for a time.
  template <class Pick>
  window_samples resized(duration window, time_point now, Pick pick) const noexcept {
    window_samples other(window);
    if (current_ == before_time) return other;
    other.current_ = other.period_of(std::max(now, time_point(duration(current_ * width_))));
    for (std::int64_t p = other.current_ - periods; p <= other.current_; ++p) {
      other.sample(p) = pick(time_point(duration(p * other.width_)));
    }
    return other;
  }

 private:
  static constexpr std::int64_t size = periods + 1;
  static constexpr std::int64_t before_time = std::numeric_limits<std::int64_t>::min() / 2;

  std::int64_t period_of(time_point t) const noexcept {
    const std::int64_t n = t.time_since_epoch().count();
    return n / width_ - (n % width_ < 0 ? 1 : 0);
  }
  std::size_t place(std::int64_t p) const noexcept {
    return static_cast<std::size_t>((p % size + size) % size);
  }
  Totals& sample(std::int64_t p) noexcept { return samples_[place(p)]; }
  const Totals& sample(std::int64_t p) const noexcept { return samples_[place(p)]; }

  std::int64_t width_;
  std::int64_t current_ = before_time;  // the number of the period
  std::array<Totals, size> samples_{};
};

}  // namespace holdfast::detail

#endif
