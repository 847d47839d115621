// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_CHAOS_CORE_HPP
#define HOLDFAST_DETAIL_CHAOS_CORE_HPP

#include <cstdint>
#include <functional>
#include <holdfast/clock.hpp>
#include <holdfast/detail/chaos_plan.hpp>
#include <holdfast/detail/event_queue.hpp>
#include <holdfast/detail/sync.hpp>
#include <memory>
#include <optional>
#include <string>

namespace holdfast::detail {

/// Numbers the attempts and asks the plan. While it is off, one relaxed load is all there is.
class chaos_core {
 public:
  explicit chaos_core(chaos_options options);

  bool enabled() const noexcept { return enabled_.load(std::memory_order_relaxed); }
  void enable();
  void disable() noexcept;

  struct sentence {
    std::shared_ptr<const chaos_rule> rule;  // null: nothing; keeps the plan it is of
    duration delay = duration::zero();
  };

  /// Numbers an attempt and decides what becomes of it.
  sentence next(time_point now, const call_context* context);

  void reconfigure(chaos_options options);
  subscription on_strike(std::function<void(const chaos_strike&)> listener);

  const std::string& name() const noexcept { return name_; }
  chaos_snapshot snapshot() const;
  void describe(std::string& out) const;

 private:
  void note(const chaos_choice& choice, const chaos_options& plan, std::uint64_t attempt,
            time_point now);
  std::shared_ptr<const chaos_options> plan() const;

  const std::string name_;
  sync::atomic<bool> enabled_{false};

  mutable sync::mutex mutex_;
  std::shared_ptr<const chaos_options> plan_;
  std::optional<time_point> began_;  // the first attempt
  chaos_snapshot counts_{};
  bool listened_to_ = false;
  event_queue<chaos_strike> events_;
};

}  // namespace holdfast::detail

#endif
