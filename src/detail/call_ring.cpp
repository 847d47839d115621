// SPDX-License-Identifier: BSL-1.0
#include <holdfast/detail/call_ring.hpp>

namespace holdfast::detail {

namespace {

constexpr std::uint32_t epochs = 63;  // 1 to 63; a slot that was never used has epoch 0

std::uint8_t slot_of(std::uint32_t epoch, call_kind k) noexcept {
  return static_cast<std::uint8_t>(epoch << 2 | static_cast<std::uint32_t>(k));
}

}  // namespace

call_ring::call_ring(unsigned size)
    : size_(size), slots_(std::make_unique<sync::atomic<std::uint8_t>[]>(size)) {}

void call_ring::add(call_kind k) noexcept {
  const std::uint32_t epoch = epoch_.load(std::memory_order_acquire);
  // The turn must not jump when the counter wraps, so it wraps at the size.
  std::uint32_t turn = next_.load(std::memory_order_relaxed);
  while (!next_.compare_exchange_weak(turn, turn + 1 == size_ ? 0 : turn + 1,
                                      std::memory_order_relaxed)) {
  }
  const std::uint8_t old = slots_[turn].exchange(slot_of(epoch, k), std::memory_order_relaxed);
  const bool held = static_cast<std::uint32_t>(old >> 2) == epoch;
  const auto old_kind = static_cast<call_kind>(old & 3);
  if (held && old_kind == k) return;
  std::uint64_t seen = totals_.load(std::memory_order_relaxed);
  std::uint64_t wanted;
  do {
    if ((seen & epoch_mask) != epoch) return;  // forgotten meanwhile
    wanted = seen + one(k) - (held ? one(old_kind) : 0);
  } while (!totals_.compare_exchange_weak(seen, wanted, std::memory_order_relaxed));
}

window_counts call_ring::sum() const noexcept {
  const std::uint64_t totals = totals_.load(std::memory_order_relaxed);
  window_counts counts;
  for (std::size_t k = 0; k < call_kinds; ++k) {
    counts.add(static_cast<call_kind>(k), (totals >> shift(k)) & count_mask);
  }
  // More than there can be: a call was taken out that is yet to be added.
  return counts.total() <= size_ ? counts : count_slots();
}

window_counts call_ring::count_slots() const noexcept {
  const std::uint32_t epoch = epoch_.load(std::memory_order_acquire);
  window_counts counts;
  for (unsigned i = 0; i < size_; ++i) {
    const std::uint8_t slot = slots_[i].load(std::memory_order_relaxed);
    if (static_cast<std::uint32_t>(slot >> 2) == epoch)
      counts.add(static_cast<call_kind>(slot & 3), 1);
  }
  return counts;
}

void call_ring::clear() noexcept {
  const std::uint32_t epoch = epoch_.load(std::memory_order_relaxed) % epochs + 1;
  totals_.store(epoch, std::memory_order_relaxed);
  epoch_.store(epoch, std::memory_order_release);
  // Epochs come again: nothing of an older one may be left, nor anything of the new one be lost.
  for (unsigned i = 0; i < size_; ++i) {
    std::uint8_t seen = slots_[i].load(std::memory_order_relaxed);
    if (static_cast<std::uint32_t>(seen >> 2) != epoch) {
      slots_[i].compare_exchange_strong(seen, 0, std::memory_order_relaxed);
    }
  }
}

void call_ring::copy_from(const call_ring& other) noexcept {
  const std::uint32_t epoch = other.epoch_.load(std::memory_order_acquire);
  const std::uint32_t oldest = other.next_.load(std::memory_order_relaxed);
  for (unsigned i = 0; i < other.size_; ++i) {
    const std::uint8_t slot =
        other.slots_[(oldest + i) % other.size_].load(std::memory_order_relaxed);
    if (static_cast<std::uint32_t>(slot >> 2) == epoch) add(static_cast<call_kind>(slot & 3));
  }
}

}  // namespace holdfast::detail
