// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_CALLS_IN_FLIGHT_HPP
#define HOLDFAST_DETAIL_CALLS_IN_FLIGHT_HPP

#include <array>
#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/detail/sync.hpp>

namespace holdfast::detail {

/// Counts the calls in flight by the time at which they began, so that those that hang past a limit
/// are known while they hang.
///
/// A limit is divided into eight spans; a call counts as late when the whole span in which it began
/// is older than the limit: never too early, and late by an eighth of the limit at most. Safe from
/// any thread. `generation` tells apart the calls from before the last `clear`: they no longer
/// count.
class calls_in_flight {
 public:
  static constexpr std::int64_t spans_in_limit = 8;

  /// Counts a call in. True: it is the first of its span, so that it is worth looking for late
  /// ones.
  bool enter(std::uint64_t generation, std::int64_t span) noexcept;

  /// Takes it out again.
  void leave(std::uint64_t generation, std::int64_t span) noexcept;

  /// Calls in flight that are older than the limit.
  std::uint64_t late(std::uint64_t generation, std::int64_t span) const noexcept;

  void clear(std::uint64_t generation) noexcept;

 private:
  // A word: 8 bits of the generation, 32 bits of the span, 24 bits of the count.
  static constexpr std::size_t size = 16;
  static constexpr unsigned count_bits = 24;
  static constexpr std::uint64_t count_mask = (std::uint64_t{1} << count_bits) - 1;
  static constexpr std::uint64_t tag(std::uint64_t generation, std::int64_t span) noexcept {
    return generation << 56 | (static_cast<std::uint64_t>(span) & 0xffff'ffffu) << count_bits;
  }
  static constexpr std::uint64_t tag_of(std::uint64_t word) noexcept { return word & ~count_mask; }
  void add_older(std::uint64_t generation, std::uint64_t n) noexcept;
  static bool take_one(sync::atomic<std::uint64_t>& word, std::uint64_t mine) noexcept;

  std::array<sync::atomic<std::uint64_t>, size> spans_{};
  sync::atomic<std::uint64_t> older_{0};  // those whose place in the ring another span has taken
};

}  // namespace holdfast::detail

#endif
