// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_STANDARD_HPP
#define HOLDFAST_STANDARD_HPP

#include <holdfast/clock.hpp>
#include <holdfast/pipeline.hpp>
#include <holdfast/policy/bulkhead.hpp>
#include <holdfast/policy/circuit_breaker.hpp>
#include <holdfast/policy/retry.hpp>
#include <holdfast/policy/retry_budget.hpp>
#include <holdfast/policy/timeout.hpp>
#include <string>

namespace holdfast {

/// What a standard stack must know of the service.
struct standard_options {
  /// Names the policies. May be empty.
  std::string name = {};

  /// The longest that an attempt may take: what the service hardly ever needs while it is well.
  /// More than zero.
  duration attempt_timeout = std::chrono::seconds(2);

  /// The longest that an operation may take, with all its attempts and waits. More than zero.
  duration deadline = std::chrono::seconds(8);

  /// How many attempts may run at once; as many again may wait. A little above what the service
  /// does at once while it is well, which is its calls per second times their mean duration: at
  /// twice that nothing is lost, at four times that the service can be held down. 1 to
  /// 1,000,000,000.
  unsigned concurrency = 32;
};

/// The policies with state of a standard stack, to be watched, or shared with other stacks.
struct standard_parts {
  circuit_breaker breaker;
  holdfast::bulkhead bulkhead;
  retry_budget budget;

  /// Throws `invalid_options`.
  explicit standard_parts(const standard_options& o)
      : breaker({.name = o.name,
                 .consecutive_failures = 0,
                 .failure_rate = 0.8,
                 .window = std::chrono::seconds(10),
                 .minimum_calls = 20,
                 .open_for = std::chrono::seconds(5)}),
        bulkhead({.name = o.name, .limit = o.concurrency, .queue = o.concurrency}),
        budget({.name = o.name, .ratio = 0.1, .min_per_second = 1}) {}
};

/// Makes the stack for a remote call that a careful engineer would begin with: a timeout for each
/// attempt, a circuit breaker for services that hardly answer at all, a bulkhead with a short
/// queue, up to three attempts with full jitter and a budget of one retry for ten calls, and a
/// deadline. A `.fallback()` can follow.
///
/// Chosen by the experiments in docs/standard.md, which tell what each part is for.
/// Throws `invalid_options`.
inline auto standard(const standard_options& o, const standard_parts& parts) {
  return pipeline()
      .with(timeout{.after = o.attempt_timeout, .name = o.name})
      .with(parts.breaker)
      .with(parts.bulkhead)
      .with(retry{.max_attempts = 3,
                  .wait = {.base = std::chrono::milliseconds(100), .cap = std::chrono::seconds(5)},
                  .budget = parts.budget,
                  .name = o.name})
      .with(timeout{.after = o.deadline, .name = o.name});
}
inline auto standard(const standard_options& o = {}) { return standard(o, standard_parts(o)); }

}  // namespace holdfast

#endif
