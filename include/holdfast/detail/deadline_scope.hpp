// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_DEADLINE_SCOPE_HPP
#define HOLDFAST_DETAIL_DEADLINE_SCOPE_HPP

#include <boost/asio/cancellation_type.hpp>
#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/errc.hpp>

namespace holdfast::detail {

struct detach_state;
struct timeout_terms;

/// The deadline in force and what happens at it. Nested timeouts save and restore it.
struct deadline_scope {
  time_point at = never;
  /// The timeout that set it; null: the caller's deadline. It lives in the operation's stack: not to
  /// be followed once the operation has gone.
  const timeout_terms* by = nullptr;
  /// When, and by which timeout's leave, a call that does not end is left behind; null: never.
  time_point detach_at = never;
  detach_state* detach = nullptr;
  errc code = errc::total_timeout;
  /// Counts the timeouts so far that allow no longer than this deadline does.
  std::uint8_t own = 0;

  /// The type of cancellation that is emitted then. In a byte: the engine's frame holds many of these.
  boost::asio::cancellation_type_t emits() const noexcept {
    return static_cast<boost::asio::cancellation_type_t>(emits_);
  }
  void set_emits(boost::asio::cancellation_type_t type) noexcept {
    emits_ = static_cast<std::uint8_t>(static_cast<unsigned>(type) & 7U);
  }

  std::uint8_t emits_ = static_cast<std::uint8_t>(boost::asio::cancellation_type::terminal);
};

}  // namespace holdfast::detail

#endif
