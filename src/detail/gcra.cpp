// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <holdfast/detail/gcra.hpp>
#include <mutex>

namespace holdfast::detail {

namespace {

constexpr std::int64_t per_ns = limiter_plan::ticks_per_ns;

// No coarse clock is further behind than this.
constexpr std::int64_t longest_guess = 100'000'000 * per_ns;

std::int64_t ticks_of(duration d) noexcept {
  return std::clamp(d, duration::zero(), limiter_plan::longest).count() * per_ns;
}

/// Rounded up: a wait must not end early.
duration duration_of(std::int64_t ticks) noexcept {
  return duration((ticks + per_ns - 1) / per_ns);
}

/// As much of `units * interval` as a limiter can ever owe.
std::int64_t worth(const limiter_plan& p, std::uint64_t units) noexcept {
  const auto most = static_cast<std::uint64_t>(p.furthest / p.interval + 1);
  return static_cast<std::int64_t>(std::min(units, most)) * p.interval;
}

/// How long a booking that ends at `end` waits. `hold` is zero or more.
std::int64_t wait_until(const limiter_plan& p, std::uint64_t end, std::uint64_t at,
                        std::int64_t hold) noexcept {
  return std::max(static_cast<std::int64_t>(end - at) - p.depth, hold);
}

}  // namespace

/// How far the schedule is ahead of the present; not negative.
std::int64_t gcra::ahead_of(const limiter_plan& p, std::uint64_t seen,
                            std::uint64_t at) const noexcept {
  const auto ahead = static_cast<std::int64_t>(seen - at);
  if (ahead <= p.furthest) return std::max<std::int64_t>(ahead, 0);
  // Further ahead than any booking can be: never used, or the clock was moved back. The time that
  // has passed is then unknown, and the store counts as empty.
  return seen == 0 ? 0 : p.depth;
}

/// Mends what a clock that was moved back has left in the future.
void gcra::heal(const limiter_plan& p, time_point now) noexcept {
  const std::uint64_t at = ticks(now);
  std::uint64_t seen = next_.load(std::memory_order_relaxed);
  if (static_cast<std::int64_t>(seen - at) > p.furthest) [[unlikely]] {
    const std::lock_guard lock(mutex_);
    holes_.clear();
    has_holes_.store(false, std::memory_order_relaxed);
    next_.compare_exchange_strong(
        seen, at + static_cast<std::uint64_t>(ahead_of(p, seen, at)), std::memory_order_relaxed);
  }
  std::int64_t hold = hold_.load(std::memory_order_relaxed);
  if (hold > count(saturating_add(now, p.options.max_hint + limiter_plan::slack))) [[unlikely]] {
    hold_.compare_exchange_strong(hold, 0, std::memory_order_relaxed);
  }
}

bool gcra::use_credit(const limiter_plan& p, std::int64_t need, std::uint64_t at) noexcept {
  std::uint64_t seen = credit_.load(std::memory_order_relaxed);
  for (;;) {
    const auto left = static_cast<std::int64_t>(seen - at);
    if (need == 0 || left < need || left > p.depth) return false;
    if (credit_.compare_exchange_weak(seen, seen - static_cast<std::uint64_t>(need),
                                      std::memory_order_relaxed)) {
      return true;
    }
  }
}

booking gcra::book(const limiter_plan& p, std::uint32_t units, time_point now,
                   time_point latest) noexcept {
  if (units > p.most_units) return {};
  const std::uint64_t at = ticks(now);
  const std::int64_t need = units * p.interval;
  heal(p, now);
  const time_point held = held_until();
  const std::int64_t hold = held > now ? ticks_of(held - now) : 0;
  std::uint64_t seen = next_.load(std::memory_order_relaxed);
  for (;;) {
    const std::int64_t ahead = std::max(ahead_of(p, seen, at), hold);
    const std::int64_t wait = std::max(ahead + need - p.depth, hold);
    booking result{booking::kind::admitted, now, 0};
    if (wait > 0) {
      // A schedule whose start was guessed, late, in this very tick: what it begins with is there.
      const auto guess =
          static_cast<std::int64_t>(begun_.load(std::memory_order_relaxed) - at);
      const bool guessed = hold == 0 && guess <= longest_guess && wait <= guess;
      if (!guessed) {
        if (hold == 0 && use_credit(p, need, at)) return result;
        if (need > 0 && has_holes_.load(std::memory_order_relaxed)) {
          if (const auto between = book_hole(p, need, now, hold, latest)) return *between;
        }
        result.what = booking::kind::later;
        result.at = saturating_add(now, duration_of(wait));
        if (result.at > latest) {
          result.what = booking::kind::refused;
          return result;
        }
      }
    }
    const std::uint64_t next = at + static_cast<std::uint64_t>(ahead + need);
    if (next_.compare_exchange_weak(seen, next, std::memory_order_relaxed)) {
      result.mark = static_cast<std::int64_t>(next);
      return result;
    }
  }
}

/// Books what others have given back, if it is enough and its time has not passed. It always comes
/// before the end of the schedule: if it is too late, so is that.
std::optional<booking> gcra::book_hole(const limiter_plan& p, std::int64_t need, time_point now,
                                       std::int64_t hold, time_point latest) noexcept {
  const std::uint64_t at = ticks(now);
  const std::lock_guard lock(mutex_);
  const auto end = holes_.find(need, at + static_cast<std::uint64_t>(hold));
  if (!end) {
    holes_.forget_until(at);
    has_holes_.store(!holes_.empty(), std::memory_order_relaxed);
    return std::nullopt;
  }
  const std::int64_t wait = wait_until(p, *end, at, hold);
  const time_point when = wait > 0 ? saturating_add(now, duration_of(wait)) : now;
  if (wait > 0 && when > latest) return booking{booking::kind::refused, when, 0};
  holes_.use_until(*end);
  has_holes_.store(!holes_.empty(), std::memory_order_relaxed);
  return booking{wait > 0 ? booking::kind::later : booking::kind::admitted, when,
                 static_cast<std::int64_t>(*end)};
}

void gcra::cancel(const limiter_plan& p, std::uint32_t units, std::int64_t mark) noexcept {
  const auto end = static_cast<std::uint64_t>(mark);
  const std::uint64_t begin = end - static_cast<std::uint64_t>(units * p.interval);
  if (begin == end) return;
  const std::lock_guard lock(mutex_);
  std::uint64_t seen = end;
  if (next_.compare_exchange_strong(seen, begin, std::memory_order_relaxed)) {
    // A hole in front of the last booking is at the end of the schedule now.
    seen = begin;
    const std::uint64_t free_from = holes_.take_ending_at(begin);
    if (free_from != begin &&
        !next_.compare_exchange_strong(seen, free_from, std::memory_order_relaxed)) {
      holes_.add(free_from, begin);
    }
  } else if (!stale_until_ || static_cast<std::int64_t>(end - *stale_until_) > 0) {
    holes_.add(begin, end);
  }
  has_holes_.store(!holes_.empty(), std::memory_order_relaxed);
}

/// Moves the schedule: `change` is given how far ahead it is and returns how far it shall be.
template <class Change>
void gcra::change(const limiter_plan& p, time_point now, Change change) noexcept {
  const std::uint64_t at = ticks(now);
  std::uint64_t seen = next_.load(std::memory_order_relaxed);
  for (;;) {
    const std::int64_t ahead = ahead_of(p, seen, at);
    const std::int64_t wanted = change(ahead);
    if (wanted == ahead) return;
    if (next_.compare_exchange_weak(seen, at + static_cast<std::uint64_t>(wanted),
                                    std::memory_order_relaxed)) {
      begun_.store(0, std::memory_order_relaxed);  // nobody knows what of a guess is left in it
      return;
    }
  }
}

void gcra::refund(const limiter_plan& p, std::uint64_t units, time_point now) noexcept {
  const std::int64_t value = std::min(worth(p, units), p.depth);
  const std::uint64_t at = ticks(now);
  bool others_wait = false;
  {
    const std::lock_guard lock(mutex_);
    std::int64_t before = 0;
    std::int64_t after = 0;
    change(p, now, [&](std::int64_t ahead) {
      others_wait = ahead > p.depth;
      before = ahead;
      return after = others_wait ? ahead : std::max<std::int64_t>(ahead - value, 0);
    });
    if (after != before) {
      holes_.forget_from(at + static_cast<std::uint64_t>(after));
      outdate_until(at + static_cast<std::uint64_t>(before));
    }
  }
  if (!others_wait) return;
  std::uint64_t seen = credit_.load(std::memory_order_relaxed);
  for (;;) {
    auto left = static_cast<std::int64_t>(seen - at);
    if (left < 0 || left > p.depth) left = 0;
    const auto wanted = at + static_cast<std::uint64_t>(std::min(left + value, p.depth));
    if (credit_.compare_exchange_weak(seen, wanted, std::memory_order_relaxed)) return;
  }
}

void gcra::charge(const limiter_plan& p, std::uint64_t units, time_point now) noexcept {
  const std::int64_t value = worth(p, units);
  const std::int64_t most = p.depth + ticks_of(p.options.max_hint);
  change(p, now, [&](std::int64_t ahead) {
    if (ahead >= most) return ahead;
    return value < most - ahead ? ahead + value : most;
  });
}

void gcra::leave_at_most(const limiter_plan& p, std::uint64_t units, time_point now) noexcept {
  const std::int64_t value = std::min(worth(p, units), p.depth);
  change(p, now, [&](std::int64_t ahead) { return std::max(ahead, p.depth - value); });
  credit_.store(ticks(now), std::memory_order_relaxed);
}

/// Bookings up to here can no longer be given back to others.
void gcra::outdate_until(std::uint64_t tick) noexcept {
  if (!stale_until_ || static_cast<std::int64_t>(tick - *stale_until_) > 0) stale_until_ = tick;
}

void gcra::hold(time_point until) noexcept {
  std::int64_t seen = hold_.load(std::memory_order_relaxed);
  while (seen < count(until) &&
         !hold_.compare_exchange_weak(seen, count(until), std::memory_order_relaxed)) {
  }
}

void gcra::convert(const limiter_plan& from, const limiter_plan& to, time_point now) noexcept {
  const std::lock_guard lock(mutex_);
  holes_.clear();
  has_holes_.store(false, std::memory_order_relaxed);
  std::int64_t before = 0;
  change(from, now, [&](std::int64_t ahead) {
    before = ahead;
    // Below zero: permits that are owed, or booked for later.
    const double in_store =
        static_cast<double>(from.depth - ahead) / static_cast<double>(from.interval);
    const double wanted =
        static_cast<double>(to.depth) - in_store * static_cast<double>(to.interval);
    return static_cast<std::int64_t>(std::clamp(wanted, 0.0, static_cast<double>(to.furthest)));
  });
  outdate_until(ticks(now) + static_cast<std::uint64_t>(before));
  credit_.store(ticks(now), std::memory_order_relaxed);
}

std::uint64_t gcra::available(const limiter_plan& p, time_point now) const noexcept {
  if (p.most_units == 0 || now < held_until()) return 0;
  const std::int64_t ahead = ahead_of(p, next_.load(std::memory_order_relaxed), ticks(now));
  return static_cast<std::uint64_t>(std::max<std::int64_t>(p.depth - ahead, 0) / p.interval);
}

duration gcra::next_free(const limiter_plan& p, time_point now) const noexcept {
  const time_point held = held_until();
  const std::int64_t hold = held > now ? ticks_of(held - now) : 0;
  const std::int64_t ahead =
      std::max(ahead_of(p, next_.load(std::memory_order_relaxed), ticks(now)), hold);
  const std::int64_t wait = std::max({ahead + p.interval - p.depth, hold, std::int64_t{0}});
  if (wait == 0 || !has_holes_.load(std::memory_order_relaxed)) return duration_of(wait);
  const std::uint64_t at = ticks(now);
  const std::lock_guard lock(mutex_);
  const auto end = holes_.find(p.interval, at + static_cast<std::uint64_t>(hold));
  return duration_of(end ? wait_until(p, *end, at, hold) : wait);
}

}  // namespace holdfast::detail
