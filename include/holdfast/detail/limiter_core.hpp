// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_LIMITER_CORE_HPP
#define HOLDFAST_DETAIL_LIMITER_CORE_HPP

#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/detail/gcra.hpp>
#include <holdfast/detail/limiter_plan.hpp>
#include <holdfast/detail/sliding_log.hpp>
#include <holdfast/detail/sync.hpp>
#include <memory>
#include <string>
#include <vector>

namespace holdfast {

/// What a rate limiter knows, for dashboards; the numbers are read one after another.
struct limiter_snapshot {
  std::uint64_t available;  ///< Permits that could be taken at once.
  std::uint32_t waiting;    ///< Operations that wait for theirs.
  std::uint64_t refused;    ///< Operations refused since construction.
  duration next_free;       ///< The time until one permit could be had; zero if one is there.
  duration held_for;        ///< How long the service has asked for silence yet; zero if it has not.
};

namespace detail {

/// A rate limiter: the plan in force, the schedule or the log, and who waits.
class limiter_core {
 public:
  explicit limiter_core(rate_limiter_options o);

  /// The plan in force. It lives as long as the limiter, also after a reconfiguration.
  const limiter_plan& plan() const noexcept { return *plan_.load(std::memory_order_acquire); }

  /// Takes permits if they are there for certain; false decides nothing. See `gcra::take`.
  [[gnu::always_inline]] bool take(const limiter_plan& p, std::uint32_t units, time_point now,
                                   duration behind) noexcept {
    return schedule_.take(p, units, now, behind);
  }

  /// Takes permits, now or for later. Later than `max_wait`, or not before `deadline`: refused, and
  /// nothing is taken. `now` is exact.
  booking book(std::uint32_t units, time_point now, time_point deadline);

  /// The same for an operation, which is counted as waiting until `wait_over` if it must wait.
  booking book_and_wait(std::uint32_t units, time_point now, time_point deadline);
  void wait_over() noexcept { waiting_.fetch_sub(1, std::memory_order_relaxed); }

  /// Gives back what was booked for later. See `gcra::cancel`.
  void cancel(std::uint32_t units, std::int64_t mark) noexcept;

  /// Makes what was `reserved` at `mark` into what was `used`.
  void settle(std::uint64_t reserved, std::int64_t mark, std::uint64_t used,
              time_point now) noexcept;

  /// Admits nobody for `d`, or for `max_hint` if that is shorter.
  void hold_for(duration d, time_point now) noexcept;
  time_point held_until() const noexcept { return schedule_.held_until(); }

  /// Takes over what the service says it has left, until it starts anew.
  void hint(std::uint64_t remaining, duration reset, time_point now) noexcept;

  void reconfigure(rate_limiter_options o, time_point now);
  limiter_snapshot snapshot(time_point now) const;
  void describe(std::string& out) const;

  const std::string& name() const noexcept { return name_; }
  std::uint64_t refused() const noexcept { return refused_.load(std::memory_order_relaxed); }
  void count_refusal() noexcept { refused_.fetch_add(1, std::memory_order_relaxed); }

 private:
  bool sliding() const noexcept { return log_ != nullptr; }

  gcra schedule_;  // where the log is in use: for its hold
  sync::atomic<const limiter_plan*> plan_;
  std::unique_ptr<sliding_log> log_;  // for `limiter_algorithm::sliding_window`
  sync::atomic<std::uint32_t> waiting_{0};
  sync::atomic<std::uint64_t> refused_{0};
  const std::string name_;

  sync::mutex mutex_;  // of reconfigurations
  // Calls may still hold an old plan; there are as many as there were reconfigurations.
  std::vector<std::unique_ptr<const limiter_plan>> plans_;
};

}  // namespace detail
}  // namespace holdfast

#endif
