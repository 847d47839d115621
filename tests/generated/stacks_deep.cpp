// SPDX-License-Identifier: BSL-1.0
#include "stack.hpp"

// Deeper stacks, and those of one policy, which failures are shrunk to.
void gen::add_deep_stacks(catalogue& c) {
  using enum breadth;
  c.add<narrow, retry_part>();
  c.add<narrow, breaker_part>();
  c.add<narrow, bulkhead_part>();
  c.add<narrow, limiter_part>();
  c.add<narrow, link_part>();
  c.add<narrow, timeout_part, cache_part, similar_part>();
  c.add<narrow, similar_part, value_part>();
  c.add<narrow, timeout_part, retry_part, hedge_part, limiter_part>();
  c.add<narrow, limiter_part, retry_part, limiter_part>();
  c.add<narrow, timeout_part, limiter_part, hedge_part, retry_part, timeout_part>();
  c.add<narrow, breaker_part, link_part, limiter_part>();
  c.add<narrow, timeout_part, breaker_part, cache_part, link_part, value_part>();
  c.add<narrow, timeout_part, bulkhead_part, breaker_part, bulkhead_part, retry_part>();
  c.add<narrow, timeout_part, breaker_part, link_part, timeout_part>();
  c.add<narrow, chaos_part, timeout_part, retry_part, breaker_part, shedder_part, value_part>();
}
