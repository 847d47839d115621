// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_TENANT_SHARES_HPP
#define HOLDFAST_DETAIL_TENANT_SHARES_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <holdfast/detail/sync.hpp>

namespace holdfast::detail {

/// How many calls each tenant has in flight, in a table of fixed size.
///
/// Only tenants with calls in flight have a place. It is one of the eight of the cache line that
/// their hash chooses; where more than eight tenants of one line are active at once, some share a
/// place, and with it a fair share.
class tenant_shares {
 public:
  using place = std::uint32_t;
  static constexpr place none = ~place{0};          ///< Not counted at all.
  static constexpr place nobody = none - 1;         ///< Counted in the total only.

  /// Counts a call of a tenant, if it holds less than `burst` times what `total` leaves of
  /// `capacity`; otherwise returns `none`. Between threads that ask at the same instant exact to as
  /// many calls as there are of them.
  place take(std::uint64_t hash, unsigned capacity, unsigned burst) noexcept;

  /// Counts a call of nobody in particular. It is never refused.
  place take_for_nobody() noexcept {
    total_.fetch_add(1, std::memory_order_relaxed);
    return nobody;
  }

  void give_back(place p) noexcept {
    if (p == none) return;
    if (p != nobody) slots_[p].fetch_sub(1, std::memory_order_relaxed);
    total_.fetch_sub(1, std::memory_order_relaxed);
  }

  unsigned total() const noexcept { return total_.load(std::memory_order_relaxed); }

  /// The calls that the tenant's place counts.
  unsigned held(std::uint64_t hash) const noexcept;

 private:
  static constexpr std::size_t ways = 8;
  static constexpr std::size_t lines = 128;

  // The tenant's tag in the high half, the calls in flight in the low half. A place with none is
  // free, whatever its tag says.
  static constexpr std::uint64_t tag_of(std::uint64_t hash) noexcept { return hash >> 32; }
  static constexpr std::uint64_t count_of(std::uint64_t word) noexcept { return word & 0xffffffff; }
  static constexpr std::size_t line_of(std::uint64_t hash) noexcept {
    return static_cast<std::size_t>(hash % lines) * ways;
  }

  place find(std::uint64_t hash, std::uint64_t& word) const noexcept;

  alignas(64) std::array<sync::atomic<std::uint64_t>, ways * lines> slots_{};
  alignas(64) sync::atomic<std::uint32_t> total_{0};
};

}  // namespace holdfast::detail

#endif
