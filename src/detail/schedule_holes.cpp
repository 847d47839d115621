// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <holdfast/detail/schedule_holes.hpp>
#include <iterator>
#include <new>

namespace holdfast::detail {

namespace {

bool before(std::uint64_t a, std::uint64_t b) noexcept {
  return static_cast<std::int64_t>(a - b) < 0;
}

}  // namespace

void schedule_holes::add(std::uint64_t begin, std::uint64_t end) noexcept {
  // Bookings come from the end of the schedule, and many are given back in its order.
  auto next = std::ranges::find_if(holes_.rbegin(), holes_.rend(),
                                   [begin](const hole& h) { return !before(begin, h.end); })
                  .base();
  // Marks of before a reconfiguration may be given back during it: nothing is free twice.
  if (next != holes_.end() && before(next->begin, end)) return;
  const bool joins_next = next != holes_.end() && next->begin == end;
  const bool joins_previous = next != holes_.begin() && std::prev(next)->end == begin;
  if (joins_previous && joins_next) {
    std::prev(next)->end = next->end;
    holes_.erase(next);
  } else if (joins_previous) {
    std::prev(next)->end = end;
  } else if (joins_next) {
    next->begin = begin;
  } else {
    try {
      holes_.insert(next, {begin, end});
    } catch (const std::bad_alloc&) {
    }
  }
}

std::optional<std::uint64_t> schedule_holes::find(std::int64_t need,
                                                  std::uint64_t earliest) const noexcept {
  for (const hole& h : holes_) {
    const std::uint64_t begin = before(h.begin, earliest) ? earliest : h.begin;
    const std::uint64_t end = begin + static_cast<std::uint64_t>(need);
    if (!before(h.end, end)) return end;
  }
  return std::nullopt;
}

void schedule_holes::use_until(std::uint64_t end) noexcept {
  const auto used =
      std::ranges::find_if(holes_, [end](const hole& h) { return !before(h.end, end); });
  used->begin = end;
  if (used->begin == used->end) holes_.erase(used);
}

std::uint64_t schedule_holes::take_ending_at(std::uint64_t end) noexcept {
  if (holes_.empty() || holes_.back().end != end) return end;
  const std::uint64_t begin = holes_.back().begin;
  holes_.pop_back();
  return begin;
}

void schedule_holes::forget_until(std::uint64_t tick) noexcept {
  holes_.erase(holes_.begin(),
               std::ranges::find_if(holes_, [tick](const hole& h) { return before(tick, h.end); }));
}

void schedule_holes::forget_from(std::uint64_t tick) noexcept {
  while (!holes_.empty() && before(tick, holes_.back().end)) {
    hole& last = holes_.back();
    if (before(last.begin, tick)) {
      last.end = tick;
    } else {
      holes_.pop_back();
    }
  }
}

}  // namespace holdfast::detail
