// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_RESILIENT_HPP
#define HOLDFAST_RESILIENT_HPP

/// \file
/// The door: everything a service needs to protect its calls. What a program does once, at its
/// start, is not in it: <holdfast/registry.hpp> and <holdfast/read_configuration.hpp>.

#include <holdfast/config.hpp>
// The check of the compiler comes first.
#include <holdfast/call_context.hpp>
#include <holdfast/chain.hpp>
#include <holdfast/classifier.hpp>
#include <holdfast/errc.hpp>
#include <holdfast/failure.hpp>
#include <holdfast/invalid_options.hpp>
#include <holdfast/ledger.hpp>
#include <holdfast/pipeline.hpp>
#include <holdfast/policy/adaptive_limit.hpp>
#include <holdfast/policy/breaker_family.hpp>
#include <holdfast/policy/bulkhead.hpp>
#include <holdfast/policy/chaos.hpp>
#include <holdfast/policy/cache.hpp>
#include <holdfast/policy/circuit_breaker.hpp>
#include <holdfast/policy/fallback.hpp>
#include <holdfast/policy/hedge.hpp>
#include <holdfast/policy/rate_limiter.hpp>
#include <holdfast/policy/load_shedder.hpp>
#include <holdfast/policy/retry.hpp>
#include <holdfast/policy/retry_budget.hpp>
#include <holdfast/policy/throttle.hpp>
#include <holdfast/policy/similar_answers.hpp>
#include <holdfast/policy/timeout.hpp>
#include <holdfast/result.hpp>
#include <holdfast/retry_after.hpp>
#include <holdfast/time/sleep_for.hpp>
#include <holdfast/verdict.hpp>

#endif
