// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_RETRY_AFTER_HPP
#define HOLDFAST_RETRY_AFTER_HPP

#include <chrono>
#include <holdfast/clock.hpp>
#include <optional>
#include <string_view>

/// \file
/// What servers say about when to come again, for `failure::with_retry_after` and for classifiers.
/// None of these functions throws, allocates or depends on the locale. What cannot be understood
/// is as if it were missing: no hint, so the caller's own delays hold. A hint too long to be
/// counted is `duration::max()`. How long a hint is worth waiting for is `retry::max_retry_after`'s
/// to say.

namespace holdfast {

/// Reads the value of a `Retry-After` header: seconds, or a date as seen at `now`. A date that has
/// passed is zero. Where the server's clock cannot be trusted to agree with ours, `now` is the date
/// of the response: `parse_http_date` of its `Date` header.
///
/// Seconds may have a fraction, which RFC 9110 does not know but some servers send; a sign is
/// malformed. Source: RFC 9110, section 10.2.3.
std::optional<duration> parse_retry_after(
    std::string_view value,
    std::chrono::system_clock::time_point now = std::chrono::system_clock::now()) noexcept;

/// Reads the value of a `retry-after-ms` header: milliseconds, which may have a fraction. Where a
/// response has both headers, this one is meant.
std::optional<duration> parse_retry_after_ms(std::string_view value) noexcept;

/// Reads a duration with units, as in bodies and rate limit headers: `20s`, `1.5s`, `6m0s`,
/// `250ms`, `1h30m`. Units: `h`, `m`, `s`, `ms`, `us`, `ns`, each with a number that may have a
/// fraction. Covers `google.rpc.RetryInfo` in JSON and Go's `time.Duration`.
std::optional<duration> parse_delay(std::string_view text) noexcept;

/// Reads an HTTP date in any of its three forms: `Sun, 06 Nov 1994 08:49:37 GMT`, the obsolete
/// `Sunday, 06-Nov-94 08:49:37 GMT`, and C's `Sun Nov  6 08:49:37 1994`. A year of two digits is
/// the one that is at most 50 years ahead of `now`. The day of the week is not checked against the
/// date.
/// Source: RFC 9110, section 5.6.7.
std::optional<std::chrono::sys_seconds> parse_http_date(
    std::string_view value,
    std::chrono::system_clock::time_point now = std::chrono::system_clock::now()) noexcept;

}  // namespace holdfast

#endif
