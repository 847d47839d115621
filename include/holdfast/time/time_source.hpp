// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_TIME_TIME_SOURCE_HPP
#define HOLDFAST_TIME_TIME_SOURCE_HPP

#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/time/timer_wheel.hpp>

namespace holdfast {

/// What stands in for real time and real chance in an execution context, as
/// `testing::virtual_time` does. Used from the one thread that runs the context.
class time_source {
 public:
  virtual time_point now() const noexcept = 0;
  virtual void arm(timer_entry& timer, time_point when) = 0;
  virtual void disarm(timer_entry& timer) noexcept = 0;
  virtual std::uint64_t random() noexcept = 0;

 protected:
  ~time_source() = default;
};

}  // namespace holdfast

#endif
