// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <holdfast/detail/flight.hpp>

namespace holdfast::detail {

flight::boarding flight::join(flight_seat& seat, turn& place) {
  const std::lock_guard lock(mutex_);
  if (state_ == state::landed) return boarding::landed;
  if (state_ == state::given_up) return boarding::over;
  seat = {.place = &place, .prev = last_, .queued = true};
  (last_ ? last_->next : first_) = &seat;
  last_ = &seat;
  return boarding::follows;
}

bool flight::leave(flight_seat& seat) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (seat.queued) unlink(seat);
    if (!seat.leads) return true;
    seat.leads = false;
  }
  return hand_over();
}

bool flight::hand_over() noexcept {
  resumption resumed;
  {
    const std::lock_guard lock(mutex_);
    if (!elect(resumed)) {
      state_ = state::given_up;
      return false;
    }
  }
  if (resumed) resumed.post();
  return true;
}

bool flight::elect(resumption& resumed) noexcept {
  while (first_) {
    flight_seat& seat = *first_;
    unlink(seat);
    // Before the grant: a follower that has not suspended yet goes on at once.
    seat.leads = true;
    if (seat.place->wait.grant(resumed)) return true;
    seat.leads = false;  // its wait has ended otherwise; it has yet to leave
  }
  return false;
}

void flight::land(kept_ptr outcome, holdfast::quality q) noexcept {
  // In batches, so that neither a lock is held nor memory allocated while followers are resumed.
  // None joins any more.
  bool first_batch = true;
  for (;;) {
    std::array<resumption, 8> resumed;
    std::size_t count = 0;
    bool more = true;
    {
      const std::lock_guard lock(mutex_);
      if (std::exchange(first_batch, false)) {
        outcome_ = std::move(outcome);
        quality_ = q;
        state_ = state::landed;
      }
      while (count < resumed.size() && (more = first_ != nullptr)) {
        flight_seat& seat = *first_;
        unlink(seat);
        seat.place->wait.grant(resumed[count]);
        if (resumed[count]) ++count;
      }
    }
    for (std::size_t i = 0; i < count; ++i) resumed[i].post();
    if (!more) return;
  }
}

void flight::unlink(flight_seat& seat) noexcept {
  (seat.prev ? seat.prev->next : first_) = seat.next;
  (seat.next ? seat.next->prev : last_) = seat.prev;
  seat.queued = false;
}

}  // namespace holdfast::detail
