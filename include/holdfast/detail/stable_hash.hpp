// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_STABLE_HASH_HPP
#define HOLDFAST_DETAIL_STABLE_HASH_HPP

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace holdfast::detail {

/// Spreads the bits of a number: the finalizer of SplitMix64 (Steele, Lea, Flood: "Fast splittable
/// pseudorandom number generators", OOPSLA 2014), with Stafford's constants.
constexpr std::uint64_t mix_bits(std::uint64_t x) noexcept {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

/// A hash that is the same in every process and on every machine, unlike `std::hash`. Not for
/// adversaries, unless they do not know the seed: whoever may choose the text can find collisions.
constexpr std::uint64_t stable_hash(std::string_view text, std::uint64_t seed = 0) noexcept {
  std::uint64_t h = text.size() ^ seed;
  while (!text.empty()) {
    std::uint64_t word = 0;
    const std::size_t n = text.size() < 8 ? text.size() : 8;
    for (std::size_t i = 0; i < n; ++i) {
      word |= std::uint64_t{static_cast<unsigned char>(text[i])} << (8 * i);
    }
    h = mix_bits(h ^ word);
    text.remove_prefix(n);
  }
  return h;
}

}  // namespace holdfast::detail

#endif
