// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_GCRA_HPP
#define HOLDFAST_DETAIL_GCRA_HPP

#include <algorithm>
#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/detail/limiter_plan.hpp>
#include <holdfast/detail/schedule_holes.hpp>
#include <holdfast/detail/sync.hpp>
#include <optional>

namespace holdfast::detail {

/// The schedule of a rate limiter: when the next permit is due (the theoretical arrival time of the
/// generic cell rate algorithm), in one word, so that taking permits is one compare-and-swap.
///
/// Permits are there while the schedule is not further ahead of the present than the burst is
/// worth; a schedule that has fallen behind starts again at the present. To wait is to take permits
/// that are due later: the time of admission is known at once and never changes.
///
/// Words wrap around, like serial numbers: only differences count. Thread safety: safe, all of it.
/// `cancel`, `refund` and `convert` take a lock; `book` does only while the schedule has holes.
class gcra {
 public:
  /// Takes `units` if they are there for certain. `now` may be behind the real time by `behind`.
  /// False decides nothing: ask `book`.
  ///
  /// Whether permits are due is judged by the earliest time that it may be, and a new schedule is
  /// begun at the latest: either error makes an admission late, none makes one early.
  [[gnu::always_inline]] bool take(const limiter_plan& p, std::uint32_t units, time_point now,
                                   duration behind) noexcept {
    if (units > p.most_units || count(now) < hold_.load(std::memory_order_relaxed)) return false;
    const std::uint64_t at = ticks(now);
    const std::int64_t need = units * p.interval;
    const std::int64_t unsure = behind.count() * limiter_plan::ticks_per_ns;
    std::uint64_t seen = next_.load(std::memory_order_relaxed);
    for (;;) {
      std::int64_t ahead = static_cast<std::int64_t>(seen - at);
      std::int64_t guessed = 0;  // how much too late the schedule may begin
      if (ahead < unsure) {
        if (unsure != 0 && !p.guess_start) return false;
        guessed = unsure - std::max<std::int64_t>(ahead, 0);
        ahead = unsure;
      }
      if (ahead > p.depth - need) return false;
      if (next_.compare_exchange_weak(seen, at + static_cast<std::uint64_t>(ahead + need),
                                      std::memory_order_relaxed)) {
        if (guessed != 0) [[unlikely]] {
          begun_.store(at + static_cast<std::uint64_t>(guessed), std::memory_order_relaxed);
        }
        return true;
      }
    }
  }

  /// Takes `units`, now or for later, but not later than `latest`. `now` is exact.
  booking book(const limiter_plan& p, std::uint32_t units, time_point now,
               time_point latest) noexcept;

  /// Gives back a booking that will not be used. Later bookings keep their times. The next `book`
  /// can have the time that is given back, until it has passed.
  void cancel(const limiter_plan& p, std::uint32_t units, std::int64_t mark) noexcept;

  /// Gives back permits that were taken and not used. Where others wait, who have their times
  /// already, they are a credit for those who come next, which is at most the burst and fades at
  /// the rate at which permits come.
  void refund(const limiter_plan& p, std::uint64_t units, time_point now) noexcept;

  /// Takes permits that are not there; what is due later is put off by at most `max_hint`.
  void charge(const limiter_plan& p, std::uint64_t units, time_point now) noexcept;

  /// Leaves at most `units` in store.
  void leave_at_most(const limiter_plan& p, std::uint64_t units, time_point now) noexcept;

  /// Admits nobody before `until`; never shortens.
  void hold(time_point until) noexcept;
  time_point held_until() const noexcept {
    return time_point(duration(hold_.load(std::memory_order_relaxed)));
  }

  /// Keeps the permits in store, as far as the new burst holds them, or those that are owed.
  void convert(const limiter_plan& from, const limiter_plan& to, time_point now) noexcept;

  /// How many permits are in store, credit left out.
  std::uint64_t available(const limiter_plan& p, time_point now) const noexcept;

  /// The time until one permit could be had; zero if one is there.
  duration next_free(const limiter_plan& p, time_point now) const noexcept;

 private:
  static std::int64_t count(time_point t) noexcept { return t.time_since_epoch().count(); }
  static std::uint64_t ticks(time_point t) noexcept {
    return static_cast<std::uint64_t>(count(t)) * limiter_plan::ticks_per_ns;
  }
  std::int64_t ahead_of(const limiter_plan& p, std::uint64_t seen, std::uint64_t at) const noexcept;
  void heal(const limiter_plan& p, time_point now) noexcept;
  void outdate_until(std::uint64_t tick) noexcept;
  std::optional<booking> book_hole(const limiter_plan& p, std::int64_t need, time_point now,
                                   std::int64_t hold, time_point latest) noexcept;
  bool use_credit(const limiter_plan& p, std::int64_t need, std::uint64_t at) noexcept;
  template <class Change>
  void change(const limiter_plan& p, time_point now, Change change) noexcept;

  sync::atomic<std::uint64_t> next_{0};   // ticks; zero: never used
  sync::atomic<std::int64_t> hold_{0};    // nanoseconds
  sync::atomic<std::uint64_t> begun_{0};  // ticks: until when a guessed start may be ahead
  sync::atomic<std::uint64_t> credit_{0};  // ticks: when the credit has faded

  // Every function that moves the schedule back holds this, so that no hole lies beyond its end.
  mutable sync::mutex mutex_;
  schedule_holes holes_;
  sync::atomic<bool> has_holes_{false};
  // The schedule was moved after the bookings with these marks were made: they leave no hole.
  std::optional<std::uint64_t> stale_until_;
};

}  // namespace holdfast::detail

#endif
