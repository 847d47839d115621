// SPDX-License-Identifier: BSL-1.0
#include "stack.hpp"

// Small stacks with every kind of call, and as chains.
void gen::add_wide_stacks(catalogue& c) {
  c.add<breadth::wide>();
  c.add<breadth::wide, timeout_part>();
  c.add<breadth::wide, hedge_part>();
  c.add<breadth::wide, cache_part>();
  c.add<breadth::wide, timeout_part, retry_part, breaker_part, bulkhead_part, timeout_part>();
}
