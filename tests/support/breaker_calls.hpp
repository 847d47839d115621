// SPDX-License-Identifier: BSL-1.0
// Calls of a breaker's state machine, without an executor.
#pragma once

#include <catch2/catch_all.hpp>
#include <holdfast/policy/circuit_breaker.hpp>
#include <vector>

namespace test {

namespace hf = holdfast;
using hf::breaker_cause;
using hf::breaker_state;
using hf::verdict;
using hf::detail::breaker_core;
using hf::detail::breaker_outcome;
using hf::detail::breaker_permit;
using namespace std::chrono_literals;

inline hf::time_point at(hf::duration d) { return hf::time_point(1h + d); }

template <class Breaker>
bool admits(Breaker& b, hf::time_point t, breaker_permit& permit) {
  return b.try_enter(permit, t);
}

template <class Breaker>
breaker_permit enter(Breaker& b, hf::time_point t) {
  breaker_permit permit;
  REQUIRE(b.try_enter(permit, t));
  return permit;
}

/// One call from beginning to end. False: refused.
template <class Breaker>
bool call(Breaker& b, verdict v, hf::time_point t, hf::duration takes = 0s) {
  breaker_permit permit;
  if (!b.try_enter(permit, t)) return false;
  b.leave(permit, v, t + takes);
  return true;
}

/// So many calls; how many of them were admitted.
template <class Breaker>
int calls(int n, Breaker& b, verdict v, hf::time_point t) {
  int admitted = 0;
  for (int i = 0; i < n; ++i) admitted += call(b, v, t);
  return admitted;
}

/// The causes of all changes from here on.
struct change_log {
  explicit change_log(breaker_core& b)
      : watching(b.on_transition([this](const hf::breaker_transition& t) { seen.push_back(t); })) {}
  std::vector<breaker_cause> causes() const {
    std::vector<breaker_cause> c;
    for (const auto& t : seen) c.push_back(t.cause);
    return c;
  }
  std::vector<hf::breaker_transition> seen;
  hf::subscription watching;
};

}  // namespace test
