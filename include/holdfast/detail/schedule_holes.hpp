// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_SCHEDULE_HOLES_HPP
#define HOLDFAST_DETAIL_SCHEDULE_HOLES_HPP

#include <cstdint>
#include <optional>
#include <vector>

namespace holdfast::detail {

/// The holes in a rate limiter's schedule: stretches of ticks that were booked and then given back.
/// Sorted; no two touch. Ticks wrap around, as in `gcra`, which holds its lock while it uses this.
class schedule_holes {
 public:
  /// Adds a hole. Without memory for it, its permits are lost.
  void add(std::uint64_t begin, std::uint64_t end) noexcept;

  /// Finds the first place for `need` ticks at `earliest` or later: the tick at which it ends.
  std::optional<std::uint64_t> find(std::int64_t need, std::uint64_t earliest) const noexcept;

  /// Takes the place that `find` has returned. The part of its hole before that place is lost.
  void use_until(std::uint64_t end) noexcept;

  /// Removes the hole that ends at `end` and returns its begin. Returns `end` if there is none.
  std::uint64_t take_ending_at(std::uint64_t end) noexcept;

  void forget_until(std::uint64_t tick) noexcept;
  void forget_from(std::uint64_t tick) noexcept;
  void clear() noexcept { holes_.clear(); }

  bool empty() const noexcept { return holes_.empty(); }

 private:
  struct hole {
    std::uint64_t begin;
    std::uint64_t end;
  };

  std::vector<hole> holes_;
};

}  // namespace holdfast::detail

#endif
