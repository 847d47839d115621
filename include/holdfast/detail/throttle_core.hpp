// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_THROTTLE_CORE_HPP
#define HOLDFAST_DETAIL_THROTTLE_CORE_HPP

#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/detail/striped_counters.hpp>
#include <holdfast/detail/sync.hpp>
#include <holdfast/detail/window_samples.hpp>
#include <holdfast/policy/throttle_options.hpp>
#include <holdfast/verdict.hpp>
#include <string>

namespace holdfast::detail {

/// The rule of client-side throttling: a pure function of calls, times and random numbers.
///
/// While the service accepts what it gets, a call adds to two counters of its thread's own, and
/// nothing is computed. The share to turn away is computed when a call ends badly, and for each
/// call as long as it is not zero.
class throttle_core {
 public:
  explicit throttle_core(throttle_options options);

  /// Admits a wish or turns it away; `random` gives a uniformly distributed 64-bit number, and is
  /// asked only where there is a share to turn away. Who is admitted must `leave`.
  template <class Random>
  bool try_enter(time_point now, Random&& random) noexcept {
    if (now.time_since_epoch().count() >= next_period_.load(std::memory_order_relaxed))
        [[unlikely]] {
      begin_period(now);
    }
    bool admitted = true;
    if (throttling_.load(std::memory_order_relaxed)) [[unlikely]] {
      const double share = judge();
      admitted = share == 0.0 || is_spared(share, random());
    }
    counts_.add(request);
    return admitted;
  }

  /// Tells how an admitted call ended.
  void leave(verdict v) noexcept {
    switch (v) {
      case verdict::success:
      case verdict::slow:
      case verdict::request_fault: counts_.add(accept); break;
      case verdict::failure:
      case verdict::throttled:
      case verdict::overloaded: judge(); break;
      case verdict::neutral: counts_.add(unsaid); break;
    }
  }

  /// The share of calls that the rule turns away now.
  double rejection() const noexcept;

  /// Throws `invalid_options` and changes nothing, or takes the new options over.
  void reconfigure(throttle_options options, time_point now);

  const std::string& name() const noexcept { return name_; }
  throttle_options options() const;
  throttle_snapshot snapshot(time_point now) const;
  std::uint64_t rejected() const noexcept { return rejected_.load(std::memory_order_relaxed); }
  void describe(std::string& out) const;

 private:
  // What is counted. A call that says nothing of the service is taken out of the requests again.
  static constexpr std::size_t request = 0;
  static constexpr std::size_t accept = 1;
  static constexpr std::size_t unsaid = 2;
  using counters = striped_counters<3>;

  struct in_window {
    double requests;
    double accepts;
  };

  void begin_period(time_point now) noexcept;
  void advance_locked(time_point now) const noexcept;
  void publish_locked() const noexcept;
  void apply_locked() noexcept;
  bool is_spared(double share, std::uint64_t random) noexcept;
  double judge() noexcept;
  in_window count() const noexcept;

  // Read by every call and seldom written.
  mutable sync::atomic<time_point::rep> next_period_;
  sync::atomic<bool> throttling_{false};
  mutable counters counts_;
  const std::string name_;

  // What the rule reads; written with the mutex held, one by one: a sum may be off for a moment.
  alignas(64) mutable sync::atomic<std::uint64_t> requests_before_{0};
  mutable sync::atomic<std::uint64_t> accepts_before_{0};
  mutable sync::atomic<std::uint64_t> unsaid_before_{0};
  sync::atomic<double> multiplier_{0};
  sync::atomic<double> min_requests_{0};
  sync::atomic<double> max_rejection_{0};
  sync::atomic<std::uint64_t> rejected_{0};

  mutable sync::mutex mutex_;
  throttle_options options_;
  mutable window_samples<counters::totals> samples_;
};

}  // namespace holdfast::detail

#endif
