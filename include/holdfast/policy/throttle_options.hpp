// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_THROTTLE_OPTIONS_HPP
#define HOLDFAST_POLICY_THROTTLE_OPTIONS_HPP

#include <cstdint>
#include <holdfast/clock.hpp>
#include <string>

namespace holdfast {

struct throttle_options {
  /// Appears in failures and `describe()`. May be empty.
  std::string name = {};

  /// How many calls are made for each one that the service accepts, once it does not accept all.
  /// Between 1 and 1000. At 2, as many are let through to be rejected there as are accepted, so
  /// that a recovery is seen quickly; 1.1 spares the service more and sees it later.
  double multiplier = 2.0;

  /// What is counted, with a resolution of 1/32 of it. At least one millisecond, and longer than
  /// the service takes to answer: a call whose answer comes after its window counts as not
  /// accepted.
  duration window = std::chrono::seconds(120);

  /// Below this many calls a second, on average over the window, none is turned away. Between 0 and
  /// 1,000,000,000; zero: no such limit. With the default, 600 calls within two minutes.
  double min_per_second = 5.0;

  /// The largest share of calls that is turned away, so that the throttle never closes altogether
  /// and recovery is seen. Between 0 and 1; zero: only counts; 1: no limit but the rule's own,
  /// which lets through about one call per window.
  double max_rejection = 0.9;
};

/// What a throttle knows, for dashboards.
struct throttle_snapshot {
  std::uint64_t requests;  ///< Wishes within the window, those turned away included.
  std::uint64_t accepts;   ///< Calls within the window that the service accepted.
  double rejection;        ///< The share of calls that would be turned away now.
  std::uint64_t rejected;  ///< Calls turned away since construction.
};

}  // namespace holdfast

#endif
