// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_BACKOFF_HPP
#define HOLDFAST_POLICY_BACKOFF_HPP

#include <cstdint>
#include <holdfast/clock.hpp>
#include <string_view>

namespace holdfast {

enum class backoff_kind : std::uint8_t { constant, linear, exponential };

/// How delays are spread, so that clients that failed together do not come back together.
/// Source of the formulas: M. Brooker, "Exponential Backoff And Jitter", AWS, 2015.
enum class jitter : std::uint8_t {
  none,          ///< The delay itself.
  full,          ///< Uniform between zero and the delay.
  equal,         ///< Half of the delay, and uniform up to all of it.
  decorrelated,  ///< Uniform between `base` and three times the last delay; `kind` is not used.
};

std::string_view to_string(backoff_kind k) noexcept;
std::string_view to_string(jitter j) noexcept;

/// How long to wait before the next attempt.
struct backoff {
  backoff_kind kind = backoff_kind::exponential;

  /// The first delay, and the step of the linear kind. At least zero; zero: no waiting.
  duration base = std::chrono::milliseconds(100);

  /// The longest delay. At least `base`.
  duration cap = std::chrono::seconds(20);

  /// What the exponential kind multiplies with. At least 1.
  double factor = 2.0;

  holdfast::jitter jitter = holdfast::jitter::full;
};

/// The delay before retry number `retry` (from 1), a pure function of its arguments: never
/// negative, never above the cap, for any number of retries. `previous` is the delay before, zero
/// for none; `random` a uniformly distributed number. At the cap the delays keep their spread.
duration next_delay(const backoff& b, std::uint64_t retry, duration previous,
                    std::uint64_t random) noexcept;

}  // namespace holdfast

#endif
