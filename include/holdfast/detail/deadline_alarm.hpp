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

  bool claim() noexcept final { return claim_ring(); }
  void on_expiry() noexcept final { ring(); }
  // The attempt's own operations are dropped by their services; nothing is parked here.
  void on_shutdown() noexcept final {}

  bool armed_ = false;
  block* block_ = nullptr;
};

}  // namespace holdfast::detail

#endif
