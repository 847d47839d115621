// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_TIME_TIMER_WHEEL_HPP
#define HOLDFAST_TIME_TIMER_WHEEL_HPP

#include <array>
#include <bit>
#include <cstdint>
#include <holdfast/clock.hpp>
#include <optional>

namespace holdfast {

/// The neighbours of a timer in its list.
struct timer_links {
  timer_links* next = nullptr;
  timer_links* prev = nullptr;
};

/// A timer, intrusive: it lives in the state of whatever waits and allocates nothing.
///
/// Linked exactly while armed. When it is due, it is unlinked and `claim` is called under the lock of
/// its time service: a timer that may be disarmed and destroyed by another thread makes sure there
/// that it stays until `on_expiry` has run, or returns false. `on_expiry` then runs without a lock.
/// `on_shutdown` is called instead of both when the execution context goes away first.
class timer_entry : public timer_links {
 public:
  timer_entry() noexcept = default;
  timer_entry(const timer_entry&) = delete;
  timer_entry& operator=(const timer_entry&) = delete;

  bool linked() const noexcept { return next != nullptr; }

  virtual bool claim() noexcept { return true; }
  virtual void on_expiry() noexcept = 0;
  virtual void on_shutdown() noexcept = 0;

  time_point when{};
  std::uint16_t slot = 0;

 protected:
  ~timer_entry() = default;
};

/// A circular list of timers through their own links.
class timer_list {
 public:
  timer_list() noexcept { head_.next = head_.prev = &head_; }
  timer_list(const timer_list&) = delete;
  timer_list& operator=(const timer_list&) = delete;

  bool empty() const noexcept { return head_.next == &head_; }
  timer_entry& front() noexcept { return static_cast<timer_entry&>(*head_.next); }

  void push_back(timer_entry& e) noexcept {
    e.prev = head_.prev;
    e.next = &head_;
    head_.prev->next = &e;
    head_.prev = &e;
  }

  /// Moves everything of `other` to the end of this list.
  void splice_back(timer_list& other) noexcept {
    if (other.empty()) return;
    other.head_.next->prev = head_.prev;
    other.head_.prev->next = &head_;
    head_.prev->next = other.head_.next;
    head_.prev = other.head_.prev;
    other.head_.next = other.head_.prev = &other.head_;
  }

  static void unlink(timer_entry& e) noexcept {
    e.prev->next = e.next;
    e.next->prev = e.prev;
    e.next = e.prev = nullptr;
  }

 private:
  timer_links head_;
};

/// A hierarchical hashed timing wheel: eight levels of 64 slots over ticks of 2^20 ns (1.05 ms).
///
/// Insert and remove are O(1) and allocate nothing. A timer expires at the first tick at or after
/// its time: never early, late by at most one tick. Not synchronised; no clock of its own.
/// Source: Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987, scheme 7. A
/// timer's level is that of the highest bit in which its tick differs from the current tick, so
/// that every timer of a lower level is due before every timer of a higher one.
class timer_wheel {
 public:
  static constexpr int tick_shift = 20;
  static constexpr duration tick{std::int64_t{1} << tick_shift};

  /// Links a timer that is not linked. `when` in the past expires at the next tick. A timer at
  /// `never` is only kept so that a shutdown can reach it.
  void insert(timer_entry& e, time_point when) noexcept {
    e.when = when;
    if (when == never) {
      e.slot = idle_slot;
      idle_.push_back(e);
      return;
    }
    place(e);
    ++size_;
  }

  /// Unlinks a linked timer, from whichever list it is in, and from an `expired` list as well.
  void remove(timer_entry& e) noexcept {
    const bool last_in_slot = e.next == e.prev;
    timer_list::unlink(e);
    if (e.slot >= idle_slot) return;  // idle or expired
    --size_;
    if (last_in_slot) {
      occupied_[e.slot / slots] &= ~(std::uint64_t{1} << (e.slot % slots));
    }
  }

  /// Moves the wheel to `now` and appends every timer that is due to `expired`, in order of ticks.
  void advance(time_point now, timer_list& expired) noexcept;

  /// The earliest time at which `advance` may have something to do; nothing when no timer is armed.
  std::optional<time_point> next() const noexcept;

  /// When a timer for `when` would expire: `when` rounded up to a tick.
  static time_point round_up(time_point when) noexcept {
    const std::uint64_t t = ceil_tick(when);
    return t > last_tick ? never : time_of(t);
  }

  /// How many timers are armed, those at `never` left out.
  std::size_t size() const noexcept { return size_; }

  /// Takes any armed timer out; null when there is none. For shutdown.
  timer_entry* pop_any() noexcept;

 private:
  static constexpr unsigned slot_bits = 6;
  static constexpr unsigned slots = 1u << slot_bits;
  static constexpr unsigned levels = 8;
  static constexpr std::uint16_t idle_slot = levels * slots;
  static constexpr std::uint16_t expired_slot = idle_slot + 1;
  // The last tick that a time_point can hold.
  static constexpr std::uint64_t last_tick = (std::uint64_t{1} << (63 - tick_shift)) - 1;

  static std::uint64_t floor_tick(time_point t) noexcept {
    const auto n = t.time_since_epoch().count();
    return n <= 0 ? 0 : static_cast<std::uint64_t>(n) >> tick_shift;
  }
  static std::uint64_t ceil_tick(time_point t) noexcept {
    const auto n = t.time_since_epoch().count();
    if (n <= 0) return 0;
    return (static_cast<std::uint64_t>(n) + ((std::uint64_t{1} << tick_shift) - 1)) >> tick_shift;
  }
  static time_point time_of(std::uint64_t t) noexcept {
    return time_point(duration(static_cast<std::int64_t>(t << tick_shift)));
  }

  void place(timer_entry& e) noexcept {
    std::uint64_t t = ceil_tick(e.when);
    if (t <= current_) t = current_ + 1;
    if (t > last_tick) t = last_tick;
    const auto differing = static_cast<unsigned>(std::bit_width((t ^ current_) | 1)) - 1;
    const unsigned level = differing / slot_bits;
    const unsigned slot = static_cast<unsigned>(t >> (level * slot_bits)) & (slots - 1);
    e.slot = static_cast<std::uint16_t>(level * slots + slot);
    lists_[e.slot].push_back(e);
    occupied_[level] |= std::uint64_t{1} << slot;
  }

  /// The tick at which the earliest occupied slot begins, and that slot.
  struct event {
    std::uint64_t tick;
    unsigned level;
    unsigned slot;
  };
  std::optional<event> next_event() const noexcept;

  std::uint64_t current_ = 0;
  std::size_t size_ = 0;
  std::array<std::uint64_t, levels> occupied_{};
  std::array<timer_list, levels * slots> lists_;
  timer_list idle_;
};

}  // namespace holdfast

#endif
