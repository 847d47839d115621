// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <holdfast/clock.hpp>
#include <vector>

namespace gen {

namespace hf = holdfast;
using namespace std::chrono_literals;

/// The choices of one part of a trial, in the order in which they are made. Zero is the simplest
/// choice, and what is missing at the end of a tape is zero: so a trial becomes simpler when numbers
/// are lowered or taken away, whatever they mean.
using tape = std::vector<std::uint32_t>;

/// Chance from a seed (splitmix64: small, and quick to make).
class chance {
 public:
  explicit chance(std::uint64_t seed) noexcept : state_(seed) {}
  std::uint64_t operator()() noexcept {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t state_;
};

/// Reads choices from a tape; with a chance, goes on writing where the tape ends.
class source {
 public:
  explicit source(tape& t, chance* more = nullptr) noexcept : tape_(t), more_(more) {}

  /// A choice out of `n`.
  std::uint32_t pick(std::uint32_t n) {
    if (at_ < tape_.size()) return tape_[at_++] % n;
    ++at_;
    if (!more_) return 0;
    tape_.push_back(static_cast<std::uint32_t>((*more_)() % n));
    return tape_.back();
  }

  /// True in so many of a hundred cases.
  bool maybe(std::uint32_t percent) { return pick(100) >= 100 - percent; }

  template <class T>
  T one_of(std::initializer_list<T> values) {
    return values.begin()[pick(static_cast<std::uint32_t>(values.size()))];
  }

  /// A time that the trial lives through: mostly some milliseconds, so that things meet.
  hf::duration time() {
    switch (pick(8)) {
      case 0: case 1: case 2: case 3: case 4: return 1ms * (1 + pick(12));
      case 5: return hf::duration(1 + pick(20'000'000));
      case 6: return 0ms;
      default: return std::min(one_of<hf::duration>({50ms, 7s, 1h}), longest());
    }
  }

  /// The longest time that a trial lives through.
  static hf::duration& longest() {
    static hf::duration d = 1h;
    return d;
  }

  /// A bound: the same, and both ends of its range.
  hf::duration bound(hf::duration least, hf::duration most = hf::duration::max()) {
    const hf::duration d = pick(8) < 7 ? time() : one_of<hf::duration>({least, most, 1ns, 24h});
    return d < least ? least : d > most ? most : d;
  }

 private:
  tape& tape_;
  chance* more_;
  std::size_t at_ = 0;
};

}  // namespace gen
