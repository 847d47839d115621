// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_SLIDING_LOG_HPP
#define HOLDFAST_DETAIL_SLIDING_LOG_HPP

#include <cstddef>
#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/detail/limiter_plan.hpp>
#include <holdfast/detail/sync.hpp>
#include <vector>

namespace holdfast::detail {

/// What was admitted in the last period, and what is booked for later: at most `permits` in any
/// period whatsoever.
///
/// Admissions within a 32nd of a period are one entry of the log, which counts until the last of
/// them is a period old: the sum is never too small, and a permit comes back up to a 32nd of a
/// period late. Bookings are in order of time: who comes later is admitted later.
///
/// Thread safety: safe; a short lock. The log is allocated once for each plan.
class sliding_log {
 public:
  explicit sliding_log(const limiter_plan& p) { fit(p); }

  /// Takes `units`, now or for later, but neither before `earliest` nor after `latest`.
  booking book(const limiter_plan& p, std::uint32_t units, time_point now, time_point earliest,
               time_point latest);

  /// Takes back `units` of what was booked for the time `at`. Nothing if it is out of the log.
  void remove(std::uint64_t units, time_point at) noexcept;

  /// Counts `units` that nobody asked for.
  void add(const limiter_plan& p, std::uint64_t units, time_point now) noexcept;

  /// Makes the log fit for a plan, and keeps what is in it.
  void fit(const limiter_plan& p);

  std::uint64_t available(const limiter_plan& p, time_point now) const noexcept;
  duration next_free(const limiter_plan& p, time_point now) const noexcept;

 private:
  struct entry {
    time_point first;
    time_point last;
    std::uint64_t units;
  };

  // All under the lock.
  entry& at(std::size_t i) noexcept { return ring_[(head_ + i) % ring_.size()]; }
  const entry& at(std::size_t i) const noexcept { return ring_[(head_ + i) % ring_.size()]; }
  void forget(time_point before) noexcept;
  void heal(const limiter_plan& p, time_point now) noexcept;
  void append(std::uint64_t units, time_point when) noexcept;
  time_point earliest_for(const limiter_plan& p, std::uint64_t units,
                          time_point when) const noexcept;

  mutable sync::mutex mutex_;
  std::vector<entry> ring_;
  std::size_t head_ = 0;
  std::size_t size_ = 0;
  std::uint64_t sum_ = 0;  // of all entries
  duration grain_{1};
};

}  // namespace holdfast::detail

#endif
