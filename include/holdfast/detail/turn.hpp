// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_TURN_HPP
#define HOLDFAST_DETAIL_TURN_HPP

#include <holdfast/clock.hpp>
#include <holdfast/detail/wait_state.hpp>
#include <holdfast/errc.hpp>
#include <holdfast/priority.hpp>

namespace holdfast::detail {

/// A wait, and the place in the queue that it may be for.
struct turn {
  wait_state wait;
  turn* next = nullptr;
  turn* prev = nullptr;
  time_point since{};              ///< When it was queued.
  time_point until{};              ///< When it leaves the queue, if its turn has not come.
  unsigned weight = 1;             ///< The permits that it waits for.
  holdfast::priority rank = holdfast::priority::normal;
  bool queued = false;
  bool refused = false;            ///< The queue has ended the wait, with `code` and no permit.
  errc code = errc::bulkhead_full;
};

}  // namespace holdfast::detail

#endif
