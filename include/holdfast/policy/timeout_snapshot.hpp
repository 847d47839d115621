// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_TIMEOUT_SNAPSHOT_HPP
#define HOLDFAST_POLICY_TIMEOUT_SNAPSHOT_HPP

#include <cstdint>
#include <holdfast/clock.hpp>
#include <string>

namespace holdfast {

/// What one timeout of a pipeline has seen: `pipeline::timeouts`.
struct timeout_snapshot {
  std::string name;
  duration after;

  /// Operations that were still under way when their time was up, however they ended then.
  std::uint64_t expired;

  /// Those of them that went on for more than 10 ms (after the grace of a detaching timeout): their
  /// call did not hear the cancellation. A call that takes `call_context&` and awaits something
  /// without `ctx.token()` is the usual cause.
  std::uint64_t overran;

  /// For how long those went on after their time was up: the longest, and all together.
  duration longest_overrun;
  duration total_overrun;

  /// Calls that a detaching timeout has left and that still run.
  unsigned detached;
};

}  // namespace holdfast

#endif
