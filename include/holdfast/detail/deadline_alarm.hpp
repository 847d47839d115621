// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_DEADLINE_ALARM_HPP
#define HOLDFAST_DETAIL_DEADLINE_ALARM_HPP

#include <boost/asio/any_io_executor.hpp>
#include <holdfast/time/time_service.hpp>

namespace holdfast::detail {

/// Rings on the executor of an attempt when its time is up.
///
/// Where one thread runs the context the timer lives in this object and rings in place. Elsewhere
/// the wheel runs on any thread, so the ring is posted to the executor; it may then arrive after
/// the attempt has ended, and even after its frame is gone. Such alarms are blocks that are never
/// freed while the context lives, and carry a generation that tells a late ring.
class deadline_alarm : private timer_entry {
 public:
  using ring_function = void (*)(void*);

  deadline_alarm() noexcept : timer_entry(&on_timer, &on_context_shutdown) {}
  ~deadline_alarm() { stop(); }

  /// `executor` must outlive the alarm.
  void start(time_service& time, const asio::any_io_executor& executor, affinity serialised_by,
             time_point when, ring_function ring, void* target) {
    time_ = &time;
    ring_ = ring;
    target_ = target;
    if (serialised_by == affinity::context) {
      armed_ = true;
      time.arm(*this, when, executor);
    } else {
      start_remote(executor, when);
    }
  }

  /// Disarms: the alarm does not ring any more.
  void stop() noexcept {
    if (armed_) {
      armed_ = false;
      time_->disarm(*this);
    } else if (remote_) {
      stop_remote();
    }
  }

  class block;

 private:
  void start_remote(const asio::any_io_executor& executor, time_point when);
  void stop_remote() noexcept;

  static void on_timer(timer_entry& timer) noexcept {
    auto& self = static_cast<deadline_alarm&>(timer);
    self.armed_ = false;
    self.ring_(self.target_);
  }
  // The attempt's own operations are dropped by their services; nothing is parked here.
  static void on_context_shutdown(timer_entry& timer) noexcept {
    static_cast<deadline_alarm&>(timer).armed_ = false;
  }

  time_service* time_ = nullptr;
  ring_function ring_ = nullptr;
  void* target_ = nullptr;
  block* remote_ = nullptr;
  bool armed_ = false;
};

}  // namespace holdfast::detail

#endif
