// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <holdfast/configuration.hpp>

namespace test {

/// A service that has every policy that a configuration can give it, each with its defaults.
inline holdfast::service_options every_policy() {
  namespace hf = holdfast;
  return {.timeout = hf::timeout(),
          .retry = hf::retry(),
          .circuit_breaker = hf::circuit_breaker_options(),
          .bulkhead = hf::bulkhead_options(),
          .rate_limiter = hf::rate_limiter_options(),
          .retry_budget = hf::retry_budget_options(),
          .throttle = hf::throttle_options(),
          .adaptive_limit = hf::adaptive_limit_options(),
          .hedge = hf::hedge_options(),
          .load_shedder = hf::load_shedder_options(),
          .chaos = hf::chaos_options()};
}

}  // namespace test
