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
  deadline_alarm() noexcept : timer_entry(&on_timer, &on_context_shutdown) {}

  /// Arms on a context that one thread runs.
  void start(time_service& time, time_point deadline) {
    time.arm(*this, deadline);
    armed_ = true;
  }

  /// Arms on an executor that is a strand.
  void start_on(const asio::any_io_executor& strand, time_service& time, time_point deadline);

  /// Disarms: the alarm does not ring any more. To be called before the destruction.
  void stop(time_service& time) noexcept {
    if (armed_) {
      armed_ = false;
      time.disarm(*this);
    } else if (remote_) [[unlikely]] {
      stop_remote(time);
    }
  }

  class block;

 protected:
  ~deadline_alarm() = default;
  virtual void ring() = 0;

 private:
  void stop_remote(time_service& time) noexcept;

  static void on_timer(timer_entry& timer) noexcept {
    auto& self = static_cast<deadline_alarm&>(timer);
    self.armed_ = false;
    self.ring();
  }
  // The attempt's own operations are dropped by their services; nothing is parked here.
  static void on_context_shutdown(timer_entry& timer) noexcept {
    static_cast<deadline_alarm&>(timer).armed_ = false;
  }

  block* remote_ = nullptr;
  bool armed_ = false;
};

}  // namespace holdfast::detail

#endif
