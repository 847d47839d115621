// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_VERDICT_HPP
#define HOLDFAST_VERDICT_HPP

#include <cstdint>
#include <string_view>

namespace holdfast {

/// What the outcome of an attempt says about the health of the service. One classifier per pipeline
/// decides it once; every policy reads it.
enum class verdict : std::uint8_t {
  success,
  slow,           ///< A good answer that took too long to be called healthy.
  failure,        ///< The service failed or timed out.
  throttled,      ///< The service asked the caller to slow down; not an outage.
  overloaded,     ///< The service turned the call away because it cannot cope.
  request_fault,  ///< The caller's own mistake: bad input, 4xx.
  neutral,        ///< Says nothing: cancelled by the caller, or refused by a policy of ours.
};

/// How good an answer is, from the best to the promise of a later one.
enum class quality : std::uint8_t {
  primary,
  degraded,  ///< Of another service.
  cached,    ///< Of this service, kept.
  stale,     ///< The same, past its time.
  similar,   ///< To a similar question: an old answer to this one is better.
  queued,
};

/// The kinds of policies, as they appear in failures and ledgers.
enum class policy_kind : std::uint8_t {
  none,  ///< The call itself, or its caller.
  timeout,
  retry,
  circuit_breaker,
  bulkhead,
  fallback,
  hedge,
  rate_limiter,
  retry_budget,
  throttle,
  load_shedder,
  adaptive_limit,
  chaos,
  cache,
};

std::string_view to_string(verdict v) noexcept;
std::string_view to_string(quality q) noexcept;
std::string_view to_string(policy_kind k) noexcept;

/// Tells whether the verdict stands for an answer that the caller can use.
constexpr bool is_answer(verdict v) noexcept {
  return v == verdict::success || v == verdict::slow;
}

}  // namespace holdfast

#endif
