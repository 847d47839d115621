// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_SCHEDULE_HOLES_HPP
#define HOLDFAST_DETAIL_SCHEDULE_HOLES_HPP

#include <cstdint>
#include <optional>
#include <vector>

namespace holdfast::detail {

/// What of a rate limiter's schedule was booked and will not be used: stretches of ticks, the
/// earliest first, of which no two touch. Ticks wrap around, as in `gcra`, under whose lock this is
/// used.
class schedule_holes {
 public:
  /// Adds a stretch; one that finds no memory is lost.
  void add(std::uint64_t begin, std::uint64_t end) noexcept;

  /// Where the first booking of `need` ticks would end that begins at `earliest` or later.
  std::optional<std::uint64_t> find(std::int64_t need, std::uint64_t earliest) const noexcept;

  /// Uses what `find` has told. What is before it in its stretch is lost.
  void use_until(std::uint64_t end) noexcept;

  /// Takes out the stretch that ends at `end`, where there is one: its begin, or else `end`.
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
