// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_BREAKER_SIDE_HPP
#define HOLDFAST_DETAIL_BREAKER_SIDE_HPP

#include <holdfast/clock.hpp>
#include <holdfast/detail/half_open_probes.hpp>
#include <holdfast/detail/recovery_progress.hpp>

namespace holdfast::detail {

/// What a breaker needs only when its circuit is not simply closed. Used under the breaker's lock.
struct breaker_side {
  half_open_probes probes;
  recovery_progress recovery;
  unsigned reopened = 0;    // times it has opened since it was closed
  time_point opened_at{};
};

}  // namespace holdfast::detail

#endif
