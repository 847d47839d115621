// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "stack.hpp"

namespace gen {

/// Whether the library compiles `outer` around `inner`: the rules of docs/order.md.
constexpr bool compiles(char inner, char outer) {
  const bool fallback_inside = inner == 'v' || inner == 'n' || inner == 'm';
  switch (outer) {
    case 'r': return !fallback_inside && inner != 'r' && inner != 'c';
    case 'c': return !fallback_inside && inner != 'c';
    case 'b':
    case 'f': return !fallback_inside && inner != 'c';
    case 'h': return !fallback_inside && inner != 'h' && inner != 'c';
    case 'o': return !fallback_inside;
    case 'a': return !fallback_inside && inner != 'r';
    default: return true;
  }
}

template <class Inner, class Outer>
void add_pair(catalogue& c) {
  if constexpr (compiles(Inner::letter, Outer::letter)) c.add<breadth::narrow, Inner, Outer>();
}

/// Adds `Outer` around each policy.
template <class Outer>
void add_pairs_around(catalogue& c) {
  add_pair<timeout_part, Outer>(c);
  add_pair<retry_part, Outer>(c);
  add_pair<breaker_part, Outer>(c);
  add_pair<family_part, Outer>(c);
  add_pair<bulkhead_part, Outer>(c);
  add_pair<limiter_part, Outer>(c);
  add_pair<hedge_part, Outer>(c);
  add_pair<cache_part, Outer>(c);
  add_pair<throttle_part, Outer>(c);
  add_pair<adaptive_part, Outer>(c);
  add_pair<shedder_part, Outer>(c);
  add_pair<chaos_part, Outer>(c);
  add_pair<value_part, Outer>(c);
  add_pair<link_part, Outer>(c);
}

}  // namespace gen
