// SPDX-License-Identifier: BSL-1.0
#include <holdfast/detail/failure_window.hpp>

namespace holdfast::detail {

void failure_window::begin(word& bucket, std::uint64_t seen, std::int64_t period,
                           std::uint64_t n) noexcept {
  std::uint64_t wanted;
  do {
    // An empty word belongs to no period.
    const bool stale = seen == 0 || is_stale<period_bits>(seen >> count_bits, period);
    wanted = stale ? (static_cast<std::uint64_t>(period) & period_mask) << count_bits : seen;
    wanted += n;
  } while (!bucket.compare_exchange_weak(seen, wanted, std::memory_order_relaxed));
}

void failure_window::sum(window_counts& into, std::int64_t period) const noexcept {
  for (std::size_t k = 0; k < call_kinds; ++k) {
    for (const auto& bucket : buckets_[k]) {
      const std::uint64_t seen = bucket.load(std::memory_order_relaxed);
      if (!is_current<period_bits>(seen >> count_bits, period)) continue;
      into.add(static_cast<call_kind>(k), seen & count_mask);
    }
  }
}

void failure_window::clear() noexcept {
  for (auto& kind : buckets_) {
    for (auto& bucket : kind) bucket.store(0, std::memory_order_relaxed);
  }
}

void packed_window::add(call_kind k, std::int64_t period) noexcept {
  const auto kind = static_cast<std::size_t>(k);
  auto& bucket = buckets_[bucket_of(period)];
  std::uint64_t seen = bucket.load(std::memory_order_relaxed);
  std::uint64_t wanted;
  do {
    const bool stale = seen == 0 || is_stale<period_bits>(seen >> period_shift, period);
    wanted = stale ? (static_cast<std::uint64_t>(period) & period_mask) << period_shift : seen;
    if (count(wanted, kind) == count_mask) wanted = halved(wanted);
    wanted += std::uint64_t{1} << (kind * count_bits);
  } while (!bucket.compare_exchange_weak(seen, wanted, std::memory_order_relaxed));
}

std::uint64_t packed_window::halved(std::uint64_t word) noexcept {
  std::uint64_t half = word >> period_shift << period_shift;
  for (std::size_t k = 0; k < call_kinds; ++k) half |= (count(word, k) / 2) << (k * count_bits);
  return half;
}

void packed_window::sum(window_counts& into, std::int64_t period) const noexcept {
  for (const auto& bucket : buckets_) {
    const std::uint64_t word = bucket.load(std::memory_order_relaxed);
    if (!is_current<period_bits>(word >> period_shift, period)) continue;
    for (std::size_t k = 0; k < call_kinds; ++k)
      into.add(static_cast<call_kind>(k), count(word, k));
  }
}

void packed_window::clear() noexcept {
  for (auto& bucket : buckets_) bucket.store(0, std::memory_order_relaxed);
}

}  // namespace holdfast::detail
