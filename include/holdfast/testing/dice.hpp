// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_TESTING_DICE_HPP
#define HOLDFAST_TESTING_DICE_HPP

#include <cstdint>
#include <holdfast/clock.hpp>
#include <random>

namespace holdfast::testing {

/// Chance for simulations: a seed gives the same draws with every standard library, which the
/// distributions of `<random>` do not promise.
class dice {
 public:
  /// Streams of one seed know nothing of each other. Those of a `service`, of an `open_loop` and of
  /// a `closed_loop` are 1, 2 and 3; that of `virtual_time` is 0.
  explicit dice(std::uint64_t seed, std::uint64_t stream = 0)
      : engine_(seed + stream * 0x9e3779b97f4a7c15) {}

  std::uint64_t raw() { return engine_(); }

  /// Evenly from more than 0 to 1.
  double unit() { return (static_cast<double>(engine_() >> 11) + 1.0) * 0x1.0p-53; }

  /// True with this probability; always draws.
  bool hits(double probability) { return unit() <= probability; }

  /// Exponentially distributed, with this mean: the time between events that know nothing of each
  /// other.
  duration exponential(duration mean);

 private:
  std::mt19937_64 engine_;
};

}  // namespace holdfast::testing

#endif
