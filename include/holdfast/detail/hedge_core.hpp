// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_HEDGE_CORE_HPP
#define HOLDFAST_DETAIL_HEDGE_CORE_HPP

#include <cstdint>
#include <holdfast/detail/latency_tracker.hpp>
#include <holdfast/detail/sync.hpp>
#include <holdfast/policy/hedge.hpp>
#include <memory>
#include <optional>
#include <string>

namespace holdfast::detail {

/// What the operations of one hedge share: its options, the latencies and the counters.
class hedge_core {
 public:
  /// Options and what goes with them: replaced as a whole.
  struct rules {
    explicit rules(hedge_options o);
    hedge_options options;
    std::shared_ptr<latency_tracker> latencies;  // null where the delay is fixed
    /// The percentile as last computed, and until when it is good.
    sync::atomic<duration::rep> live_delay;
    sync::atomic<time_point::rep> good_until{0};
  };

  explicit hedge_core(hedge_options o);

  /// The rules of this moment. Cost: an uncontended lock.
  std::shared_ptr<rules> current() const;
  void reconfigure(hedge_options o);

  static duration delay(rules& r, time_point now);
  static void record(rules& r, duration latency, time_point now) {
    if (r.latencies) r.latencies->record(latency, now);
  }

  void count_operation() noexcept { operations_.fetch_add(1, std::memory_order_relaxed); }
  void count_hedge() noexcept { hedges_.fetch_add(1, std::memory_order_relaxed); }
  void count_win() noexcept { won_.fetch_add(1, std::memory_order_relaxed); }

  /// Takes one more attempt out of the budget, if there is one.
  bool allow_hedge(time_point now) {
    if (!budget_ || budget_->try_reserve(now)) return true;
    suppressed_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }

  const std::optional<retry_budget>& budget() const noexcept { return budget_; }
  const std::string& name() const noexcept { return name_; }
  hedge_snapshot snapshot(time_point now) const;
  void describe(std::string& out) const;

 private:
  const std::string name_;
  std::optional<retry_budget> budget_;
  mutable sync::mutex mutex_;
  std::shared_ptr<rules> rules_;
  sync::atomic<std::uint64_t> operations_{0};
  sync::atomic<std::uint64_t> hedges_{0};
  sync::atomic<std::uint64_t> won_{0};
  sync::atomic<std::uint64_t> suppressed_{0};
};

}  // namespace holdfast::detail

#endif
