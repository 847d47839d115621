// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <holdfast/detail/failure_window.hpp>
#include <holdfast/detail/striped_counts.hpp>

namespace test {

namespace hf = holdfast;
using hf::detail::call_kind;

/// The window of a named breaker with its clock, asked by time.
struct striped_window {
  explicit striped_window(hf::duration window) : clock(window) {}
  bool enabled() const { return clock.enabled(); }
  void add_good(hf::time_point t) { counts.add_good(clock.period(t)); }
  void add_bad(hf::time_point t) { counts.add(call_kind::failed, clock.period(t)); }
  hf::detail::window_counts sum(hf::time_point t) const { return counts.sum(clock.period(t)); }
  void clear() { counts.clear(); }
  bool may_hold_bad(hf::time_point t) const { return counts.may_hold_bad(clock.period(t)); }
  hf::detail::window_clock clock;
  hf::detail::striped_counts counts;
};

/// The window of a breaker of a keyed family.
struct small_window {
  explicit small_window(hf::duration window) : clock(window) {}
  void add_good(hf::time_point t) { counts.add(call_kind::good, clock.period(t)); }
  void add_bad(hf::time_point t) { counts.add(call_kind::failed, clock.period(t)); }
  hf::detail::window_counts sum(hf::time_point t) const {
    hf::detail::window_counts c;
    counts.sum(c, clock.period(t));
    return c;
  }
  void clear() { counts.clear(); }
  bool may_hold_bad(hf::time_point t) const { return sum(t).bad() > 0; }  // its breaker keeps that
  hf::detail::window_clock clock;
  hf::detail::packed_window counts;
};

}  // namespace test
