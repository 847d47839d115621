// SPDX-License-Identifier: BSL-1.0
#include <holdfast/detail/latency_tracker.hpp>
#include <holdfast/detail/share.hpp>

namespace holdfast::detail {

duration latency_tracker::end_of(std::size_t bucket) noexcept {
  constexpr std::size_t per_octave = std::size_t{1} << sub_bits;
  if (bucket < per_octave) return duration(static_cast<std::int64_t>(bucket + 1) << unit_bits);
  const unsigned shift = static_cast<unsigned>(bucket / per_octave) - 1;
  const auto begin = static_cast<std::int64_t>(per_octave + bucket % per_octave);
  return duration((begin + 1) << (shift + unit_bits));
}

void latency_tracker::turn_to(std::int64_t number) noexcept {
  std::int64_t seen = current_.load(std::memory_order_relaxed);
  // A thread whose clock reading is a little older counts into the other half; nothing turns back.
  if (number <= seen ||
      !current_.compare_exchange_strong(seen, number, std::memory_order_relaxed)) {
    return;
  }
  const auto clear = [](half& h) {
    for (auto& count : h.counts) count.store(0, std::memory_order_relaxed);
  };
  clear(halves_[static_cast<std::size_t>(number & 1)]);
  if (number - seen > 1) clear(halves_[static_cast<std::size_t>((number + 1) & 1)]);
}

std::optional<duration> latency_tracker::quantile(double q, std::uint64_t minimum,
                                                  time_point now) noexcept {
  turn(now);
  const auto count = [this](std::size_t b) {
    return std::uint64_t{halves_[0].counts[b].load(std::memory_order_relaxed)} +
           halves_[1].counts[b].load(std::memory_order_relaxed);
  };
  std::uint64_t total = 0;
  for (std::size_t b = 0; b < buckets; ++b) total += count(b);
  if (total == 0 || total < minimum) return {};
  const std::uint64_t rank = least_part(q, total);
  std::uint64_t below = 0;
  std::size_t b = 0;
  // Not beyond the last one: another thread may have cleared a half since the sum.
  while (b + 1 < buckets && (below += count(b)) < rank) ++b;
  return end_of(b);
}

}  // namespace holdfast::detail
