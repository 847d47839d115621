// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_FLIGHT_HPP
#define HOLDFAST_DETAIL_FLIGHT_HPP

#include <cstddef>
#include <holdfast/detail/kept.hpp>
#include <holdfast/detail/sync.hpp>
#include <holdfast/detail/turn.hpp>
#include <string>
#include <utility>

namespace holdfast::detail {

/// An operation's place in a flight. Belongs to the operation; linked into the flight while it
/// waits.
struct flight_seat {
  turn* place = nullptr;  // the operation's wait
  flight_seat* next = nullptr;
  flight_seat* prev = nullptr;
  bool queued = false;
  bool leads = false;  // elected, in place of a leader that gave up
};

/// One question that several operations ask at once, and one of them, the leader, answers.
///
/// Whoever makes the flight leads it. The leader lands it with an outcome, which every follower
/// gets, or hands it over because it was cancelled or has no time left: then the follower that has
/// waited longest leads. A follower that leaves changes nothing for anybody else.
///
/// Thread safety: safe. Followers are resumed on their own executors; no lock is held meanwhile.
class flight {
 public:
  flight(std::string_view key, std::size_t hash) : key_(key), hash_(hash) {}
  flight(const flight&) = delete;

  enum class boarding : std::uint8_t {
    follows,  ///< It waits; its wait will be granted.
    landed,   ///< The outcome is there already.
    over,     ///< Nobody leads it any more: ask again.
  };

  /// Lets an operation follow whose wait is open.
  boarding join(flight_seat& seat, turn& place);

  /// Leaves, as a follower: before the landing or after it. One that was elected meanwhile hands
  /// over; false if nobody leads any more.
  bool leave(flight_seat& seat) noexcept;

  /// Ends the leader's part without an outcome. False if there was nobody to take over: the flight
  /// is over.
  bool hand_over() noexcept;

  /// Ends the flight: every follower gets `outcome`.
  void land(kept_ptr outcome, holdfast::quality q) noexcept;

  /// Whether the follower of a granted seat was elected; otherwise the flight has landed.
  bool leads(const flight_seat& seat) const noexcept {
    const std::lock_guard lock(mutex_);
    return seat.leads;
  }

  bool over() const noexcept {
    const std::lock_guard lock(mutex_);
    return state_ != state::in_the_air;
  }

  /// What it landed with. To be read by followers that were granted, and after `landed`.
  const kept_ptr& outcome() const noexcept { return outcome_; }
  holdfast::quality quality() const noexcept { return quality_; }

  const std::string& key() const noexcept { return key_; }
  std::size_t hash() const noexcept { return hash_; }

 private:
  enum class state : std::uint8_t { in_the_air, landed, given_up };

  bool elect(resumption& resumed) noexcept;
  void unlink(flight_seat& seat) noexcept;

  const std::string key_;
  const std::size_t hash_;

  mutable sync::mutex mutex_;  // guards what follows, and the links of the seats
  state state_ = state::in_the_air;
  kept_ptr outcome_;  // written once, before `landed`
  holdfast::quality quality_ = holdfast::quality::primary;
  flight_seat* first_ = nullptr;
  flight_seat* last_ = nullptr;
};

}  // namespace holdfast::detail

#endif
