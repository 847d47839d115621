// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_DETACH_STATE_HPP
#define HOLDFAST_DETAIL_DETACH_STATE_HPP

#include <holdfast/clock.hpp>
#include <holdfast/detail/sync.hpp>
#include <holdfast/errc.hpp>
#include <memory>

namespace holdfast::detail {

/// What the abandoned calls of one detaching timeout share. Lives as long as any of them.
struct detach_state : std::enable_shared_from_this<detach_state> {
  detach_state(unsigned l, duration g, errc c) noexcept : limit(l), grace(g), code(c) {}
  const unsigned limit;
  const duration grace;
  const errc code;  // what the operation whose call is abandoned ends with
  sync::atomic<unsigned> running{0};
};

}  // namespace holdfast::detail

#endif
