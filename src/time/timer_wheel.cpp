// SPDX-License-Identifier: BSL-1.0
#include <holdfast/time/timer_wheel.hpp>

namespace holdfast {

std::optional<timer_wheel::event> timer_wheel::next_event() const noexcept {
  for (unsigned level = 0; level < levels; ++level) {
    if (occupied_[level] == 0) continue;
    // Every occupied slot of a level lies ahead of the current one: `place` saw to that.
    const auto slot = static_cast<unsigned>(std::countr_zero(occupied_[level]));
    const unsigned shift = level * slot_bits;
    const std::uint64_t block = current_ >> (shift + slot_bits) << (shift + slot_bits);
    return event{block + (std::uint64_t{slot} << shift), level, slot};
  }
  return std::nullopt;
}

std::optional<time_point> timer_wheel::next() const noexcept {
  const auto e = next_event();
  if (!e) return std::nullopt;
  return time_of(e->tick);
}

void timer_wheel::advance(time_point now, timer_list& expired) noexcept {
  const std::uint64_t target = floor_tick(now);
  for (;;) {
    const auto e = next_event();
    if (!e || e->tick > target) break;
    current_ = e->tick;
    occupied_[e->level] &= ~(std::uint64_t{1} << e->slot);
    timer_list due;
    due.splice_back(lists_[e->level * slots + e->slot]);
    while (!due.empty()) {
      timer_entry& timer = due.front();
      timer_list::unlink(timer);
      if (ceil_tick(timer.when) <= current_ || current_ == last_tick) {
        timer.slot = expired_slot;
        expired.push_back(timer);
        --size_;
      } else {
        place(timer);
      }
    }
  }
  if (target > current_) current_ = target;
}

timer_entry* timer_wheel::pop_any() noexcept {
  if (!idle_.empty()) {
    timer_entry& e = idle_.front();
    remove(e);
    return &e;
  }
  const auto e = next_event();
  if (!e) return nullptr;
  timer_entry& timer = lists_[e->level * slots + e->slot].front();
  remove(timer);
  return &timer;
}

}  // namespace holdfast
