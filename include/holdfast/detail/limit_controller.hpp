// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_LIMIT_CONTROLLER_HPP
#define HOLDFAST_DETAIL_LIMIT_CONTROLLER_HPP

#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/detail/limit_algorithm.hpp>
#include <holdfast/detail/limit_window.hpp>

namespace holdfast::detail {

/// Turns one window after another into a limit: a pure function of windows, times and numbers.
///
/// Where the algorithm compares with the idle latency, this is what measures it. Under a binding
/// limit every latency that can be seen is that of a queue which the limit itself allows, so from
/// time to time the limit is lowered for a window, and further as long as the latency falls with
/// it: then a queue is still there. Windows with little in flight give the idle latency for
/// nothing.
class limit_controller {
 public:
  explicit limit_controller(const adaptive_limit_options& o);

  /// Judges a window that has ended. While `measuring` it must hold calls only that began in it.
  void on_window(const limit_window& w, time_point now, std::uint64_t random) noexcept;

  /// The limit in force.
  unsigned limit() const noexcept;
  bool measuring() const noexcept { return measuring_; }
  unsigned samples_wanted() const noexcept;

  /// Zero where it is unknown or not needed.
  duration idle() const noexcept { return idle_; }
  std::uint64_t measurements() const noexcept { return measurements_; }

  /// Takes new options over; the limit stays, within its new bounds, and so does what was measured.
  void reconfigure(const adaptive_limit_options& o);

 private:
  bool needs_idle() const noexcept;
  bool wants_measurement(const limit_window& w, time_point now) noexcept;
  void begin_measurement(const limit_window& w, time_point now, std::uint64_t random) noexcept;
  void step_measurement(const limit_window& w, time_point now, std::uint64_t random) noexcept;
  void end_measurement(time_point now, std::uint64_t random) noexcept;
  void adopt(duration measured) noexcept;
  void follow(const limit_window& w) noexcept;
  void schedule(time_point now, std::uint64_t random) noexcept;
  double lower_bound() const noexcept { return static_cast<double>(min_limit_); }

  limit_rule rule_;
  unsigned min_limit_;
  unsigned max_limit_;
  unsigned min_samples_;
  duration measure_every_;

  double limit_;
  duration idle_ = duration::zero();
  unsigned agreeing_ = 0;  // measurements since one that was far off
  time_point next_measurement_ = time_point::min();
  double limit_when_measured_ = 0.0;
  unsigned low_windows_ = 0;
  std::uint64_t measurements_ = 0;

  bool measuring_ = false;
  double trial_limit_ = 0.0;              // in force while measuring
  double loaded_limit_ = 0.0;             // the one before it
  duration loaded_latency_ = duration::zero();
};

}  // namespace holdfast::detail

#endif
