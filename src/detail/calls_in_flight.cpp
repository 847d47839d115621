// SPDX-License-Identifier: BSL-1.0
#include <holdfast/detail/calls_in_flight.hpp>

namespace holdfast::detail {

namespace {

std::size_t place_of(std::int64_t span, std::size_t size) noexcept {
  return static_cast<std::size_t>(span) % size;
}

}  // namespace

bool calls_in_flight::enter(std::uint64_t generation, std::int64_t span) noexcept {
  const std::uint64_t mine = tag(generation, span);
  auto& word = spans_[place_of(span, size)];
  std::uint64_t seen = word.load(std::memory_order_relaxed);
  for (;;) {
    if (tag_of(seen) == mine) {
      if (word.compare_exchange_weak(seen, seen + 1, std::memory_order_relaxed)) return false;
      continue;
    }
    // A call that was admitted before the last change, and is slow to say so, no longer counts.
    if (static_cast<std::int8_t>((seen >> 56) - (mine >> 56)) > 0) return false;
    // Those who are here are older than the whole ring; of an earlier generation, nobody asks. They
    // are counted as older before they lose their place, so that each finds itself somewhere.
    const std::uint64_t left = seen >> 56 == mine >> 56 ? seen & count_mask : 0;
    add_older(generation, left);
    if (word.compare_exchange_weak(seen, mine + 1, std::memory_order_release,
                                   std::memory_order_relaxed)) {
      return true;
    }
    add_older(generation, 0 - left);
  }
}

void calls_in_flight::add_older(std::uint64_t generation, std::uint64_t n) noexcept {
  if (n == 0) return;
  std::uint64_t older = older_.load(std::memory_order_relaxed);
  while (tag_of(older) == tag(generation, 0) &&
         !older_.compare_exchange_weak(older, older + n, std::memory_order_relaxed)) {
  }
}

bool calls_in_flight::take_one(sync::atomic<std::uint64_t>& word, std::uint64_t mine) noexcept {
  // Acquires: who finds its place taken finds itself among the older ones.
  std::uint64_t seen = word.load(std::memory_order_acquire);
  while (tag_of(seen) == mine && (seen & count_mask) != 0) {
    if (word.compare_exchange_weak(seen, seen - 1, std::memory_order_acquire)) return true;
  }
  return false;
}

void calls_in_flight::leave(std::uint64_t generation, std::int64_t span) noexcept {
  if (take_one(spans_[place_of(span, size)], tag(generation, span))) return;
  take_one(older_, tag(generation, 0));
}

std::uint64_t calls_in_flight::late(std::uint64_t generation, std::int64_t span) const noexcept {
  const std::uint64_t mine = tag(generation, 0) >> 56;
  const std::uint64_t older = older_.load(std::memory_order_relaxed);
  std::uint64_t sum = older >> 56 == mine ? older & count_mask : 0;
  for (const auto& place : spans_) {
    const std::uint64_t word = place.load(std::memory_order_relaxed);
    if (word >> 56 != mine) continue;
    const auto began = static_cast<std::uint32_t>(word >> count_bits);
    const auto age = static_cast<std::int32_t>(static_cast<std::uint32_t>(span) - began);
    if (age > spans_in_limit) sum += word & count_mask;
  }
  return sum;
}

void calls_in_flight::clear(std::uint64_t generation) noexcept {
  older_.store(tag(generation, 0), std::memory_order_relaxed);
  for (auto& place : spans_) place.store(tag(generation, 0), std::memory_order_relaxed);
}

}  // namespace holdfast::detail
