// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_CONFIGURATION_HPP
#define HOLDFAST_CONFIGURATION_HPP

#include <functional>
#include <holdfast/policy/adaptive_limit_options.hpp>
#include <holdfast/policy/bulkhead_options.hpp>
#include <holdfast/policy/chaos_options.hpp>
#include <holdfast/policy/circuit_breaker_options.hpp>
#include <holdfast/policy/hedge.hpp>
#include <holdfast/policy/load_shedder_options.hpp>
#include <holdfast/policy/rate_limiter_options.hpp>
#include <holdfast/policy/retry.hpp>
#include <holdfast/policy/retry_budget_options.hpp>
#include <holdfast/policy/throttle_options.hpp>
#include <holdfast/policy/timeout.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace holdfast {

/// The policies of one service. What is not set, the service does not have. The `name` of each is
/// the service's, whatever it says here.
struct service_options {
  std::optional<holdfast::timeout> timeout = std::nullopt;
  /// Without a `budget` of its own it draws on the service's `retry_budget`, if there is one.
  std::optional<holdfast::retry> retry = std::nullopt;
  std::optional<circuit_breaker_options> circuit_breaker = std::nullopt;
  std::optional<bulkhead_options> bulkhead = std::nullopt;
  std::optional<rate_limiter_options> rate_limiter = std::nullopt;
  std::optional<retry_budget_options> retry_budget = std::nullopt;
  std::optional<throttle_options> throttle = std::nullopt;
  std::optional<adaptive_limit_options> adaptive_limit = std::nullopt;
  std::optional<hedge_options> hedge = std::nullopt;
  std::optional<load_shedder_options> load_shedder = std::nullopt;
  std::optional<chaos_options> chaos = std::nullopt;
};

/// What a `registry` is made from.
struct configuration {
  /// The policies that every service has, unless it has its own of that kind. Options are shared
  /// this way, never objects: each service gets its own breaker.
  service_options defaults = {};

  std::map<std::string, service_options, std::less<>> services = {};
};

/// Tells everything that is wrong with a configuration, one line per fault, such as
/// `services.gpt-4.bulkhead.limit = 0: must be at least 1`. Empty: it is valid.
std::vector<std::string> faults_of(const configuration& c);

}  // namespace holdfast

#endif
