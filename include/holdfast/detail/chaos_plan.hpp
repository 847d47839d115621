// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_CHAOS_PLAN_HPP
#define HOLDFAST_DETAIL_CHAOS_PLAN_HPP

#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/policy/chaos_options.hpp>

namespace holdfast::detail {

/// What becomes of one attempt.
struct chaos_choice {
  const chaos_rule* rule = nullptr;  // null: nothing
  duration delay = duration::zero();
};

/// Decides for the attempt of this number, `elapsed` after the first one: a pure function, so that
/// a run whose attempts come in the same order is struck in the same places. `context` is for the
/// rules' predicates; null: they are not asked.
chaos_choice choose(const chaos_options& plan, std::uint64_t attempt, duration elapsed,
                    const call_context* context);

}  // namespace holdfast::detail

#endif
