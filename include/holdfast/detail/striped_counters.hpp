// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_STRIPED_COUNTERS_HPP
#define HOLDFAST_DETAIL_STRIPED_COUNTERS_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <holdfast/detail/sync.hpp>
#include <holdfast/detail/thread_slot.hpp>
#include <memory>

namespace holdfast::detail {

/// Counters that many threads add to and few read.
///
/// Each thread has a cache line of its own and adds with a plain load and store: nothing is locked
/// and no line moves between cores. Threads beyond the number of lines share the last one, with
/// `fetch_add`. A sum may miss what other threads add meanwhile; it never shows what was not added,
/// and the sums that one thread reads never go back. The counters only grow.
template <std::size_t Kinds>
class striped_counters {
 public:
  using totals = std::array<std::uint64_t, Kinds>;

  /// With no line for any thread of its own it takes one cache line in all.
  explicit striped_counters(std::uint32_t own_lines = suitable_stripes(64))
      : own_lines_(own_lines), lines_(std::make_unique<line[]>(own_lines + std::size_t{1})) {}

  void add(std::size_t kind) noexcept {
    const std::uint32_t slot = thread_slot();
    if (slot < own_lines_) [[likely]] {
      auto& count = lines_[slot].counts[kind];
      count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    } else {
      lines_[own_lines_].counts[kind].fetch_add(1, std::memory_order_relaxed);
    }
  }

  totals sum() const noexcept {
    totals t{};
    for (std::size_t i = 0; i <= own_lines_; ++i) {
      for (std::size_t k = 0; k < Kinds; ++k) {
        t[k] += lines_[i].counts[k].load(std::memory_order_relaxed);
      }
    }
    return t;
  }

 private:
  struct alignas(64) line {
    std::array<sync::atomic<std::uint64_t>, Kinds> counts{};
  };

  const std::uint32_t own_lines_;
  const std::unique_ptr<line[]> lines_;
};

}  // namespace holdfast::detail

#endif
