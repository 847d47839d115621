// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <functional>
#include <holdfast/configuration.hpp>
#include <holdfast/policy/breaker_snapshot.hpp>
#include <optional>
#include <string>
#include <vector>

#include "scenario.hpp"

namespace lab {

/// What happened in one second of virtual time.
struct second {
  double begun = 0;     ///< Calls that began,
  double ended = 0;     ///< that ended,
  double good = 0;      ///< and of these the ones that ended with an answer.
  double attempts = 0;  ///< Requests that reached the service.
  hf::duration p50{0};  ///< Of the calls that ended.
  hf::duration p99{0};
  std::optional<hf::breaker_state> breaker;  ///< At its end; none without a breaker.

  // Where the scenario has a server:
  double other_ended = 0;  ///< Calls of the other route that ended,
  double other_good = 0;   ///< and of these the ones that ended with an answer.
  double busy = 0;         ///< Workers, at its end.
};

/// What one pipeline made of a scenario.
struct course {
  std::string pipeline;
  std::vector<second> seconds;

  /// Sums over the whole time. Calls that have not ended count among those begun only.
  double begun = 0;
  double calls = 0;
  double good = 0;
  double attempts = 0;
  hf::duration p50{0};
  hf::duration p99{0};

  /// When all of the server's workers were busy for the first time; none: never.
  std::optional<hf::duration> full_at;
};

/// A service's policies, with those of the defaults that it has not itself.
hf::service_options with_defaults(hf::service_options own, const hf::service_options& defaults);

/// Runs the scenario through the policies that `options` names, in virtual time. `progress` hears
/// of each second that has passed. The same seed gives the same course.
///
/// The policies are stacked as docs/order.md advises, innermost first: chaos, timeout, hedge,
/// circuit breaker, throttle, adaptive limit, bulkhead, rate limiter, load shedder, retry.
course run(const scenario& s, const std::string& name, const hf::service_options& options,
           const std::function<void(std::size_t second)>& progress = {});

}  // namespace lab
