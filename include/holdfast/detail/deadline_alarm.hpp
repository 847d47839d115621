// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_DEADLINE_ALARM_HPP
#define HOLDFAST_DETAIL_DEADLINE_ALARM_HPP

#include <holdfast/clock.hpp>
#include <holdfast/time/timer_wheel.hpp>

namespace holdfast::detail {

class place;

/// Rings at a time, at a place: on the strand, if the place is one; else on a thread of the context.
///
/// The timer lives in this object and rings in place, but for a strand: there the ring is posted, and
/// may arrive when the object has gone. Such an alarm has a block, which outlives it if need be.
///
/// Thread safety: may be stopped, and destroyed, on any thread.
class deadline_alarm : private timer_entry {
 public:
  deadline_alarm() noexcept : timer_entry(&on_timer, &on_shutdown, &on_claim) {}

  /// Arms an alarm that is not armed. May throw; nothing is armed then.
  void start(time_point at);

  /// Disarms: `claim_ring` is not called any more, and is not being called.
  void stop() noexcept {
    if (armed_) stop_armed();
  }

  class block;

 protected:
  ~deadline_alarm() = default;

  /// Where it rings. The same from `start` to `stop`.
  virtual const place& place_of_alarm() const noexcept = 0;
  /// Makes sure that the object stays until `ring` has been called, and returns whether it is to be.
  /// Under a lock: may only try the gate.
  virtual bool claim_ring() noexcept = 0;
  virtual void ring() noexcept = 0;

 private:
  void stop_armed() noexcept;

  static bool on_claim(timer_entry& timer) noexcept {
    return static_cast<deadline_alarm&>(timer).claim_ring();
  }
  static void on_timer(timer_entry& timer) noexcept { static_cast<deadline_alarm&>(timer).ring(); }
  // The attempt's own operations are dropped by their services; nothing is parked here.
  static void on_shutdown(timer_entry&) noexcept {}

  bool armed_ = false;
  block* block_ = nullptr;
};

}  // namespace holdfast::detail

#endif
