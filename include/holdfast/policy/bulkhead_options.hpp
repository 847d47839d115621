// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_BULKHEAD_OPTIONS_HPP
#define HOLDFAST_POLICY_BULKHEAD_OPTIONS_HPP

#include <holdfast/clock.hpp>
#include <string>

namespace holdfast {

struct bulkhead_options {
  /// Appears in failures and `describe()`. May be empty.
  std::string name = {};

  /// How many calls may run at once. At least 1.
  unsigned limit = 25;

  /// How many operations may wait for a permit. Zero: none, a full bulkhead refuses at once.
  unsigned queue = 0;

  /// The longest wait in the queue. At least zero; zero: bounded by the operation's deadline only.
  duration max_queue_time = duration::zero();
};

}  // namespace holdfast

#endif
