// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <bit>
#include <cmath>
#include <holdfast/testing/latency_histogram.hpp>

namespace holdfast::testing {

namespace {

// Values below 2048 ns have a bucket each. Of a larger one the highest bit chooses a group, and the
// ten bits below it one of the 1024 buckets of that group.
constexpr unsigned sub_bits = 10;

std::size_t index_of(duration d) noexcept {
  const auto ns = static_cast<std::uint64_t>(d.count());
  const auto width = static_cast<unsigned>(std::bit_width(ns));
  const unsigned shift = width > sub_bits + 1 ? width - sub_bits - 1 : 0;
  return (std::size_t{shift} << sub_bits) + static_cast<std::size_t>(ns >> shift);
}

/// The longest duration of a bucket.
duration last_of(std::size_t index) noexcept {
  const std::size_t group = index >> sub_bits;
  const std::size_t shift = group > 1 ? group - 1 : 0;
  const auto first = static_cast<std::uint64_t>(index - (shift << sub_bits)) << shift;
  return duration(static_cast<duration::rep>(first + (std::uint64_t{1} << shift) - 1));
}

}  // namespace

void latency_histogram::add(duration d) {
  d = std::max(d, duration::zero());
  const std::size_t i = index_of(d);
  if (i >= buckets_.size()) buckets_.resize(((i >> sub_bits) + 1) << sub_bits);  // whole groups
  ++buckets_[i];
  ++count_;
  shortest_ = std::min(shortest_, d);
  longest_ = std::max(longest_, d);
}

void latency_histogram::add(const latency_histogram& other) {
  if (other.count_ == 0) return;
  buckets_.resize(std::max(buckets_.size(), other.buckets_.size()));
  const std::size_t last = index_of(other.longest_);
  for (std::size_t i = index_of(other.shortest_); i <= last; ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  shortest_ = std::min(shortest_, other.shortest_);
  longest_ = std::max(longest_, other.longest_);
}

void latency_histogram::clear() noexcept {
  if (count_ == 0) return;
  const auto at = [this](duration d) {
    return buckets_.begin() + static_cast<std::ptrdiff_t>(index_of(d));
  };
  std::fill(at(shortest_), at(longest_) + 1, 0);
  count_ = 0;
  shortest_ = duration::max();
  longest_ = duration::zero();
}

duration latency_histogram::quantile(double q) const noexcept {
  if (count_ == 0) return duration::zero();
  // Less what rounding may have added: 0.07 of a hundred samples are seven.
  const double samples = q * static_cast<double>(count_) * (1 - 1e-15);
  const auto rank = std::max(static_cast<std::uint64_t>(std::ceil(samples)), std::uint64_t{1});
  std::uint64_t seen = 0;
  const std::size_t last = index_of(longest_);
  for (std::size_t i = index_of(shortest_); i < last; ++i) {
    seen += buckets_[i];
    if (seen >= rank) return last_of(i);
  }
  return longest_;
}

}  // namespace holdfast::testing
