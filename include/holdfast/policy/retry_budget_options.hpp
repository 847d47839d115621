// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_RETRY_BUDGET_OPTIONS_HPP
#define HOLDFAST_POLICY_RETRY_BUDGET_OPTIONS_HPP

#include <cstdint>
#include <holdfast/clock.hpp>
#include <string>
#include <string_view>

namespace holdfast {

/// How a retry budget is filled and spent.
enum class budget_mode : std::uint8_t {
  /// Calls pay in, retries draw out, and both are forgotten after `ttl`: of any `ttl`, there are at
  /// most `ratio` retries per call and `min_per_second` on top.
  /// Source: the retry budget of Finagle (Twitter), also in Linkerd.
  ratio,
  /// A failure takes a token, a success gives back a part of one; there are retries only while more
  /// than half of the tokens are left. Knows no time.
  /// Source: gRPC proposal A6, "Throttling Retry Attempts and Hedged RPCs".
  tokens,
};

std::string_view to_string(budget_mode m) noexcept;

struct retry_budget_options {
  /// Appears in ledgers and `describe()`. May be empty.
  std::string name = {};

  budget_mode mode = budget_mode::ratio;

  /// `ratio`: how many retries each call pays for. Between 0 and 1000; zero: none.
  double ratio = 0.2;

  /// `ratio`: after how long what was paid in and what was drawn out is forgotten, with a
  /// resolution of 1/32 of it. At least one millisecond.
  duration ttl = std::chrono::seconds(10);

  /// `ratio`: retries that need no calls to pay for them, so that a service that is seldom called
  /// can be retried at all. They may be spent in one burst of `min_per_second` times `ttl`. Between
  /// 0 and 1,000,000; zero: none.
  double min_per_second = 10.0;

  /// `tokens`: how many there are at first and at most. 1 to 1,000,000,000.
  unsigned max_tokens = 100;

  /// `tokens`: the part of a token that a success gives back. Between 0 and 1000; zero: tokens
  /// never come back.
  double token_ratio = 0.1;
};

/// What a retry budget knows, for dashboards.
struct retry_budget_snapshot {
  budget_mode mode;
  std::uint64_t available;           ///< Retries that would be granted now, one after another.
  std::uint64_t calls_in_window;     ///< `ratio` only.
  std::uint64_t reserved_in_window;  ///< `ratio` only.
  double tokens;                     ///< `tokens` only.
  std::uint64_t granted;             ///< Reservations made since construction.
  std::uint64_t released;            ///< Reservations given back unused.
  std::uint64_t exhausted;           ///< Wishes that found the budget spent.
};

}  // namespace holdfast

#endif
