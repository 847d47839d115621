// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_OVERRUN_COUNTERS_HPP
#define HOLDFAST_DETAIL_OVERRUN_COUNTERS_HPP

#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/detail/sync.hpp>
#include <holdfast/policy/timeout_snapshot.hpp>

namespace holdfast::detail {

/// How many operations went on after their time, and for how long. A copy of a pipeline counts for
/// itself: it begins at zero. Safe from any thread.
class overrun_counters {
 public:
  overrun_counters() noexcept = default;
  overrun_counters(const overrun_counters&) noexcept {}
  overrun_counters(overrun_counters&& other) noexcept { take(other); }
  overrun_counters& operator=(const overrun_counters&) = delete;

  void count(duration overrun, duration tolerated) noexcept {
    add(expired_, 1);
    if (overrun <= tolerated) return;
    add(overran_, 1);
    const std::int64_t ns = overrun.count();
    total_.fetch_add(ns, std::memory_order_relaxed);
    std::int64_t longest = longest_.load(std::memory_order_relaxed);
    while (longest < ns &&
           !longest_.compare_exchange_weak(longest, ns, std::memory_order_relaxed)) {
    }
  }

  void fill(timeout_snapshot& s) const noexcept {
    s.expired = expired_.load(std::memory_order_relaxed);
    s.overran = overran_.load(std::memory_order_relaxed);
    s.longest_overrun = duration(longest_.load(std::memory_order_relaxed));
    s.total_overrun = duration(total_.load(std::memory_order_relaxed));
  }

 private:
  static void add(sync::atomic<std::uint64_t>& to, std::uint64_t n) noexcept {
    to.fetch_add(n, std::memory_order_relaxed);
  }
  void take(const overrun_counters& other) noexcept {
    timeout_snapshot s{};
    other.fill(s);
    add(expired_, s.expired);
    add(overran_, s.overran);
    longest_.store(s.longest_overrun.count(), std::memory_order_relaxed);
    total_.store(s.total_overrun.count(), std::memory_order_relaxed);
  }

  sync::atomic<std::uint64_t> expired_{0};
  sync::atomic<std::uint64_t> overran_{0};
  sync::atomic<std::int64_t> longest_{0};
  sync::atomic<std::int64_t> total_{0};
};

}  // namespace holdfast::detail

#endif
