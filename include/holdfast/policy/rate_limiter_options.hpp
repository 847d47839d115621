// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_RATE_LIMITER_OPTIONS_HPP
#define HOLDFAST_POLICY_RATE_LIMITER_OPTIONS_HPP

#include <cstdint>
#include <holdfast/clock.hpp>
#include <string>
#include <string_view>

namespace holdfast {

/// How a rate limiter counts.
enum class limiter_algorithm : std::uint8_t {
  /// A token bucket, kept as a schedule (generic cell rate algorithm, virtual scheduling form;
  /// ITU-T I.371, annex A): in any stretch of time t at most `burst` + t * `permits` / `period`, and
  /// what was refunded meanwhile, which is a credit of at most another `burst` where others wait.
  gcra,
  /// A log of the last period: at most `permits` in any period whatsoever. What was taken comes
  /// back up to a 32nd of the period late. Costs a short lock per call.
  sliding_window,
};

std::string_view to_string(limiter_algorithm a) noexcept;

struct rate_limiter_options {
  /// Appears in failures and `describe()`. May be empty.
  std::string name = {};

  /// How many permits come in each `period`. At least 1; at most one per nanosecond.
  std::uint32_t permits = 100;

  /// From 1 ns to 365 days.
  duration period = std::chrono::seconds(1);

  /// How many permits an idle limiter has in store, to be taken at once. It must refill within 365
  /// days. Zero: as many as `permits`. One: calls are evenly spaced. Not for `sliding_window`.
  std::uint32_t burst = 0;

  limiter_algorithm algorithm = limiter_algorithm::gcra;

  /// The longest wait for permits, up to 365 days. At least zero; zero: refuse at once.
  duration max_wait = duration::zero();

  /// How many operations may wait. Zero: none.
  std::uint32_t max_waiting = 1000;

  /// Whether an operation takes `call_options::cost` permits and `call_context::settle` corrects
  /// them. False: every call takes one, whatever it costs.
  bool weighted = true;

  /// How far a hint of the service, or the debt of a call that cost more than was reserved, may put
  /// off the next permit; up to 365 days. At least zero; zero: neither is heeded.
  duration max_hint = std::chrono::seconds(60);
};

}  // namespace holdfast

#endif
