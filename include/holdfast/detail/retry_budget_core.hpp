// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_RETRY_BUDGET_CORE_HPP
#define HOLDFAST_DETAIL_RETRY_BUDGET_CORE_HPP

#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/detail/striped_counters.hpp>
#include <holdfast/detail/sync.hpp>
#include <holdfast/detail/window_samples.hpp>
#include <holdfast/policy/retry_budget_options.hpp>
#include <string>

namespace holdfast::detail {

/// The account of a retry budget: a pure function of what is reported to it, and of the times.
///
/// Calls are counted in stripes and nobody waits for anybody; what is drawn is counted exactly,
/// under a mutex, since a retry is rare and dear. All errors are on the safe side: a call may be
/// seen late and is forgotten up to 1/32 of the time to live early, what was drawn is forgotten up
/// to 1/32 late. So the budget is never overdrawn, in any span as long as the time to live.
///
/// Tokens are one word. They are full while the service is well, and then nothing is written.
class retry_budget_core {
 public:
  explicit retry_budget_core(retry_budget_options options);

  /// A call is about to be made. Retries are no calls.
  void on_call(time_point now) noexcept {
    if (now.time_since_epoch().count() >= next_period_.load(std::memory_order_relaxed))
        [[unlikely]] {
      begin_period(now);
    }
    calls_.add(0);
  }

  /// The service answered well. Nothing but two loads while the tokens are full.
  void on_success() noexcept {
    if (tokens_.load(std::memory_order_relaxed) < max_tokens_.load(std::memory_order_relaxed))
        [[unlikely]] {
      give_back(refill_.load(std::memory_order_relaxed));
    }
  }

  /// The service failed, and `try_reserve` has not been granted for it.
  void on_failure() noexcept;

  /// Takes a retry out of the budget, in one step, if there is one.
  bool try_reserve(time_point now);

  /// Gives back what was taken at `reserved_at` and not used.
  void release(time_point reserved_at, time_point now);

  /// Throws `invalid_options` and changes nothing, or takes the new options over.
  void reconfigure(retry_budget_options options, time_point now);

  const std::string& name() const noexcept { return name_; }
  retry_budget_options options() const;
  retry_budget_snapshot snapshot(time_point now) const;
  void describe(std::string& out) const;

 private:
  /// What the counters stood at.
  struct totals {
    std::uint64_t calls = 0;
    std::uint64_t drawn = 0;
  };

  static constexpr std::int64_t one = 1'000'000;  // retries and tokens are counted in millionths

  void begin_period(time_point now) noexcept;
  void give_back(std::int64_t part) noexcept;
  bool try_take_token() noexcept;
  bool try_draw(time_point now);

  // With the mutex held:
  void advance(time_point now) const noexcept;
  std::int64_t balance(std::uint64_t calls) const noexcept;
  void apply() noexcept;

  // Read by every call and seldom written.
  mutable sync::atomic<time_point::rep> next_period_;
  sync::atomic<std::int64_t> tokens_{0};  // both zero in the `ratio` mode
  sync::atomic<std::int64_t> max_tokens_{0};
  sync::atomic<std::int64_t> refill_{0};
  sync::atomic<budget_mode> mode_;
  mutable striped_counters<1> calls_;
  const std::string name_;

  alignas(64) mutable sync::mutex mutex_;  // guards what follows up to `granted_`
  retry_budget_options options_;
  mutable window_samples<totals> samples_;
  mutable std::uint64_t calls_seen_ = 0;  // the last sum of the stripes
  std::uint64_t drawn_ = 0;
  std::int64_t per_call_ = 0;  // millionths of a retry
  std::int64_t floor_ = 0;

  sync::atomic<std::uint64_t> granted_{0};
  sync::atomic<std::uint64_t> released_{0};
  sync::atomic<std::uint64_t> exhausted_{0};
};

}  // namespace holdfast::detail

#endif
