// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_PARKED_RUNNERS_HPP
#define HOLDFAST_DETAIL_PARKED_RUNNERS_HPP

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <holdfast/clock.hpp>
#include <holdfast/detail/sync.hpp>
#include <holdfast/time/time_service.hpp>
#include <holdfast/time/timer_wheel.hpp>

namespace holdfast::detail {

class place;
class runner_base;

/// The parked runners of one type and context. Destroys those that a whole period has not needed, a
/// limited number at a time, but keeps a few.
///
/// Thread safety: safe. Cost of taking one and of giving one back: one short lock.
class parked_runners : private timer_entry {
 public:
  explicit parked_runners(time_service& time) noexcept : time_(time) {}

  void give_back(runner_base& r) noexcept;
  /// Makes a parked runner forget its strand or the user's executor, if nothing else refers to it.
  void let_go_of_target(runner_base& r) noexcept;

  unsigned count() const noexcept;

  /// Changes the period, for tests: ten seconds by default. Before the first runner is given back.
  void set_period(duration period) noexcept { period_ = period; }

  /// See `home::pins`.
  sync::atomic<unsigned>& pins() noexcept { return pins_; }

 protected:
  ~parked_runners() = default;
  /// Takes a runner and moves it to that place; null if none can be moved.
  runner_base* take(const place& where);
  /// The context shuts down.
  void end() noexcept;

 private:
  void on_expiry() noexcept override;
  void on_shutdown() noexcept override {}
  duration give_up_unneeded() noexcept;
  void watch(duration from_now) noexcept;
  template <class Condition>
  runner_base* pop_if(Condition may_go) noexcept;

  // Under the lock.
  void remove(runner_base& r) noexcept;
  static asio::any_io_executor target_without_use(runner_base& r) noexcept;

  time_service& time_;
  duration period_ = std::chrono::seconds(10);
  mutable sync::short_mutex mutex_;
  runner_base* free_ = nullptr;
  unsigned count_ = 0;
  unsigned least_ = 0;    // the fewest since the period began
  bool watched_ = false;  // the timer is armed, or about to be
  sync::atomic<unsigned> pins_{0};
};

}  // namespace holdfast::detail

#endif
