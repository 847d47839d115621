// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <bit>
#include <holdfast/detail/duration_histogram.hpp>
#include <holdfast/detail/share.hpp>

namespace holdfast::detail {

// The first `sub_buckets` buckets are one microsecond wide each; of a larger value the highest bit
// chooses the group and the two bits below it the bucket.

std::size_t duration_histogram::index_of(std::uint64_t us) noexcept {
  if (us < sub_buckets) return static_cast<std::size_t>(us);
  const auto high = static_cast<unsigned>(std::bit_width(us)) - 1;  // at least 2
  const auto sub = static_cast<std::size_t>(us >> (high - 2)) & (sub_buckets - 1);
  return std::min((high - 1) * sub_buckets + sub, size - 1);
}

duration duration_histogram::upper_end(std::size_t index) noexcept {
  if (index < sub_buckets) return std::chrono::microseconds(index + 1);
  const auto shift = index / sub_buckets - 1;
  const auto first = (sub_buckets + index % sub_buckets) << shift;
  return std::chrono::microseconds(first + (std::size_t{1} << shift));
}

void duration_histogram::add(duration d) noexcept {
  const auto ns = std::max<std::int64_t>(d.count(), 0);
  buckets_[index_of(static_cast<std::uint64_t>(ns) / 1000)].fetch_add(1, std::memory_order_relaxed);
  auto seen = longest_.load(std::memory_order_relaxed);
  while (ns > seen &&
         !longest_.compare_exchange_weak(seen, ns, std::memory_order_relaxed)) {
  }
}

std::uint64_t duration_histogram::count() const noexcept {
  std::uint64_t n = 0;
  for (const auto& b : buckets_) n += b.load(std::memory_order_relaxed);
  return n;
}

duration duration_histogram::quantile(double q) const noexcept {
  const std::uint64_t n = count();
  if (n == 0) return duration::zero();
  const std::uint64_t rank = least_part(q, n);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < size; ++i) {
    seen += buckets_[i].load(std::memory_order_relaxed);
    if (seen >= rank) return std::min(upper_end(i), longest());
  }
  return longest();
}

}  // namespace holdfast::detail
