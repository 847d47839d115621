// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_ERRC_HPP
#define HOLDFAST_ERRC_HPP

#include <boost/system/error_category.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/error_condition.hpp>
#include <string_view>
#include <system_error>
#include <type_traits>

namespace holdfast {

/// Why an operation ended without a value, where the reason is a policy's or the caller's.
/// A failed call keeps its own code; it is never replaced by one of these.
enum class errc {
  attempt_timeout = 1,  ///< A timeout around a single attempt expired.
  total_timeout,        ///< A timeout around several attempts, or the caller's deadline, expired.
  cancelled,            ///< The caller cancelled the operation.
  circuit_open,         ///< The circuit is open, or is being tried without this call.
  circuit_isolated,     ///< The circuit breaker was opened by hand.
  bulkhead_full,        ///< No permit was free, and the queue was full or its time ran out.
  rate_limited,         ///< A rate limiter had no permit in time.
  shed,                 ///< Load shedding turned the call away.
  budget_exhausted,     ///< The retry budget is spent.
  deadline_too_near,    ///< No time was left to start an attempt.
  shutting_down,        ///< The policy or the server is draining.
  too_many_detached,    ///< As many abandoned attempts are still running as the timeout allows.
  exception,            ///< The call ended with an exception that carries no error code.
  too_heavy,            ///< The call weighs more than the limit of the bulkhead.
  no_key,               ///< Only in ledgers: the operation has no key for the cache.
};

/// Groups of codes, to compare with: `if (failure.code() == hf::condition::rejected)`.
enum class condition {
  rejected = 1,  ///< A policy refused the call; the service was not touched by this attempt.
  timed_out,     ///< `attempt_timeout` or `total_timeout`.
  cancelled,     ///< The caller cancelled.
};

/// Names the enumerator, as `circuit_open`. Unknown values give `unknown`.
std::string_view to_string(errc e) noexcept;

const boost::system::error_category& error_category() noexcept;
const boost::system::error_category& condition_category() noexcept;

inline boost::system::error_code make_error_code(errc e) noexcept {
  return {static_cast<int>(e), error_category()};
}
inline boost::system::error_condition make_error_condition(condition c) noexcept {
  return {static_cast<int>(c), condition_category()};
}

}  // namespace holdfast

// Both traits, so that Boost's and the standard's error codes take the enumerators alike.
template <>
struct boost::system::is_error_code_enum<holdfast::errc> : std::true_type {};
template <>
struct boost::system::is_error_condition_enum<holdfast::condition> : std::true_type {};
template <>
struct std::is_error_code_enum<holdfast::errc> : std::true_type {};
template <>
struct std::is_error_condition_enum<holdfast::condition> : std::true_type {};

#endif
