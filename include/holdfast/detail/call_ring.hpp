// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_CALL_RING_HPP
#define HOLDFAST_DETAIL_CALL_RING_HPP

#include <cstdint>
#include <holdfast/detail/sync.hpp>
#include <holdfast/detail/window_counts.hpp>
#include <memory>

namespace holdfast::detail {

/// Counts the last n calls by their kind.
///
/// Safe from any thread, and exact when all is at rest: each call that is put in takes one out, and
/// the totals change by the difference. The ring is one, whoever counts: unlike a time window it
/// gains nothing from more threads.
class call_ring {
 public:
  static constexpr unsigned most = 10'000;

  /// At most `most` calls.
  explicit call_ring(unsigned size);

  void add(call_kind k) noexcept;
  window_counts sum() const noexcept;
  unsigned size() const noexcept { return size_; }

  /// Forgets everything. One at a time; calls that count meanwhile are forgotten or counted.
  void clear() noexcept;

  /// Puts the most recent calls of another ring in. While nobody else uses this one.
  void copy_from(const call_ring& other) noexcept;

 private:
  // A slot: six bits of the epoch, two bits of the kind; of another epoch: empty. The totals: four
  // counts of 14 bits, and the epoch below them, where no borrow can reach it: a call may be taken
  // out by one thread before another has added it to the totals.
  static constexpr unsigned epoch_bits = 8;
  static constexpr unsigned count_bits = 14;
  static constexpr std::uint64_t epoch_mask = (std::uint64_t{1} << epoch_bits) - 1;
  static constexpr std::uint64_t count_mask = (std::uint64_t{1} << count_bits) - 1;
  static constexpr unsigned shift(std::size_t kind) noexcept {
    return epoch_bits + static_cast<unsigned>(kind) * count_bits;
  }
  static constexpr std::uint64_t one(call_kind k) noexcept {
    return std::uint64_t{1} << shift(static_cast<std::size_t>(k));
  }

  window_counts count_slots() const noexcept;

  const unsigned size_;
  sync::atomic<std::uint32_t> epoch_{1};
  sync::atomic<std::uint32_t> next_{0};
  sync::atomic<std::uint64_t> totals_{1};
  std::unique_ptr<sync::atomic<std::uint8_t>[]> slots_;
};

}  // namespace holdfast::detail

#endif
