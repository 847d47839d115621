// SPDX-License-Identifier: BSL-1.0
#include <holdfast/verdict.hpp>

namespace holdfast {

std::string_view to_string(verdict v) noexcept {
  switch (v) {
    case verdict::success: return "success";
    case verdict::slow: return "slow";
    case verdict::failure: return "failure";
    case verdict::throttled: return "throttled";
    case verdict::overloaded: return "overloaded";
    case verdict::request_fault: return "request_fault";
    case verdict::neutral: return "neutral";
  }
  return "unknown";
}

std::string_view to_string(quality q) noexcept {
  switch (q) {
    case quality::primary: return "primary";
    case quality::degraded: return "degraded";
    case quality::cached: return "cached";
    case quality::stale: return "stale";
    case quality::similar: return "similar";
    case quality::queued: return "queued";
  }
  return "unknown";
}

std::string_view to_string(policy_kind k) noexcept {
  switch (k) {
    case policy_kind::none: return "call";
    case policy_kind::timeout: return "timeout";
    case policy_kind::retry: return "retry";
    case policy_kind::circuit_breaker: return "circuit_breaker";
    case policy_kind::bulkhead: return "bulkhead";
    case policy_kind::fallback: return "fallback";
    case policy_kind::hedge: return "hedge";
    case policy_kind::rate_limiter: return "rate_limiter";
    case policy_kind::retry_budget: return "retry_budget";
    case policy_kind::throttle: return "throttle";
    case policy_kind::load_shedder: return "load_shedder";
    case policy_kind::adaptive_limit: return "adaptive_limit";
    case policy_kind::chaos: return "chaos";
    case policy_kind::cache: return "cache";
  }
  return "unknown";
}

}  // namespace holdfast
