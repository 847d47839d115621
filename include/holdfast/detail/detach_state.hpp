// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_DETACH_STATE_HPP
#define HOLDFAST_DETAIL_DETACH_STATE_HPP

#include <holdfast/clock.hpp>
#include <holdfast/detail/sync.hpp>
#include <holdfast/detail/timeout_terms.hpp>
#include <memory>
#include <utility>

namespace holdfast::detail {

/// What the abandoned calls of one detaching timeout share. Lives as long as any of them.
struct detach_state : std::enable_shared_from_this<detach_state> {
  detach_state(unsigned l, duration g, timeout_terms t)
      : limit(l), grace(g), terms(std::move(t)) {}
  const unsigned limit;
  const duration grace;
  const timeout_terms terms;  // make the failure of an operation whose call is abandoned
  sync::atomic<unsigned> running{0};
};

}  // namespace holdfast::detail

#endif
