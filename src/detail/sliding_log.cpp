// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <holdfast/detail/sliding_log.hpp>
#include <utility>

namespace holdfast::detail {

namespace {

constexpr std::int64_t grains_per_period = 32;
constexpr std::int64_t most_entries = 4096;  // where waits are very much longer than the period

}  // namespace

void sliding_log::fit(const limiter_plan& p) {
  const duration period = p.options.period;
  const duration span = period + std::max(p.options.max_wait, p.options.max_hint);
  const duration grain = std::max({period / grains_per_period, span / most_entries, duration(1)});
  std::vector<entry> ring(static_cast<std::size_t>(span / grain) + 4);
  const std::lock_guard lock(mutex_);
  const auto old = std::exchange(ring_, std::move(ring));
  const std::size_t head = std::exchange(head_, 0);
  const std::size_t size = std::exchange(size_, 0);
  sum_ = 0;
  grain_ = grain;
  for (std::size_t i = 0; i < size; ++i) {
    const entry& e = old[(head + i) % old.size()];
    append(e.units, e.last);
  }
}

booking sliding_log::book(const limiter_plan& p, std::uint32_t units, time_point now,
                          time_point earliest, time_point latest) {
  if (units > p.options.permits) return {};
  const std::lock_guard lock(mutex_);
  heal(p, now);
  forget(now - p.options.period);
  const time_point when = earliest_for(p, units, std::max(now, earliest));
  booking result{booking::kind::admitted, when, when.time_since_epoch().count()};
  if (when > now) {
    result.what = booking::kind::later;
    if (when > latest) {
      result.what = booking::kind::refused;
      return result;
    }
  }
  append(units, when);
  return result;
}

/// When `units` may be admitted, not before `when` and not before anybody who came earlier.
time_point sliding_log::earliest_for(const limiter_plan& p, std::uint64_t units,
                                     time_point when) const noexcept {
  if (size_ != 0) when = std::max(when, at(size_ - 1).last);
  std::uint64_t counted = sum_;
  for (std::size_t i = 0; i < size_; ++i) {
    const time_point gone = saturating_add(at(i).last, p.options.period);
    if (gone > when) {
      if (counted + units <= p.options.permits) break;
      when = gone;
    }
    counted -= at(i).units;
  }
  return when;
}

void sliding_log::forget(time_point before) noexcept {
  while (size_ != 0 && at(0).last <= before) {
    sum_ -= at(0).units;
    head_ = (head_ + 1) % ring_.size();
    --size_;
  }
}

/// After the clock was moved back nobody knows how old the entries are: they count as new.
void sliding_log::heal(const limiter_plan& p, time_point now) noexcept {
  if (size_ == 0) return;
  const duration furthest(p.furthest / limiter_plan::ticks_per_ns);
  if (at(size_ - 1).last <= saturating_add(now, furthest)) return;
  const std::uint64_t all = std::exchange(sum_, 0);
  size_ = 0;
  append(all, now);
}

void sliding_log::append(std::uint64_t units, time_point when) noexcept {
  if (units == 0) return;
  sum_ += units;
  if (size_ != 0) {
    entry& back = at(size_ - 1);
    // The log is made large enough; if it were not, a coarser entry errs on the late side.
    if (when - back.first < grain_ || size_ == ring_.size()) {
      back.units += units;
      back.last = std::max(back.last, when);
      return;
    }
  }
  at(size_++) = {when, when, units};
}

void sliding_log::remove(std::uint64_t units, time_point when) noexcept {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = size_; i-- > 0;) {
    entry& e = at(i);
    if (e.first > when) continue;
    if (e.last < when) return;
    units = std::min(units, e.units);
    e.units -= units;
    sum_ -= units;
    // Who comes next need not wait for those who are not there any more.
    while (size_ != 0 && at(size_ - 1).units == 0) --size_;
    return;
  }
}

void sliding_log::add(const limiter_plan& p, std::uint64_t units, time_point now) noexcept {
  const std::lock_guard lock(mutex_);
  heal(p, now);
  forget(now - p.options.period);
  // A debt counts for one period, like everything else in the log: from now, or together with the
  // last of those who wait.
  append(std::min<std::uint64_t>(units, p.options.permits), now);
}

std::uint64_t sliding_log::available(const limiter_plan& p, time_point now) const noexcept {
  const std::lock_guard lock(mutex_);
  std::uint64_t counted = 0;
  for (std::size_t i = 0; i < size_; ++i) {
    if (at(i).last > now - p.options.period) counted += at(i).units;
  }
  return counted < p.options.permits ? p.options.permits - counted : 0;
}

duration sliding_log::next_free(const limiter_plan& p, time_point now) const noexcept {
  const std::lock_guard lock(mutex_);
  return earliest_for(p, 1, now) - now;
}

}  // namespace holdfast::detail
