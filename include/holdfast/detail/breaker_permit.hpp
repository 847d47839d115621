// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_BREAKER_PERMIT_HPP
#define HOLDFAST_DETAIL_BREAKER_PERMIT_HPP

#include <cstdint>
#include <holdfast/clock.hpp>

namespace holdfast {
class time_service;
}

namespace holdfast::detail {

/// The right to make one call, good for the state in which it was given.
struct breaker_permit {
  /// What was admitted.
  enum class role : std::uint8_t {
    plain,      ///< A call of a closed circuit.
    timed,      ///< The same, where the breaker measures time: counted as in flight.
    probe,      ///< A call of a half-open circuit.
    share,      ///< A call of a circuit that recovers.
    uncounted,  ///< A call of a disabled circuit.
  };

  /// The state word at admission. A probe is known by its number alone, so that its layer may keep
  /// something else here.
  std::uint64_t word = 0;

  /// Zero for a plain call. Otherwise the role in four bits, and above them four bits of a lane and
  /// the time of the start, or eight bits for the layer and the number of the probe.
  std::uint64_t mark = 0;

  static breaker_permit timed(std::uint64_t word, role r, unsigned lane,
                              time_point start) noexcept {
    const auto ns = static_cast<std::uint64_t>(start.time_since_epoch().count());
    return {word, ns >> 4 << 8 | (lane & 0xfu) << 4 | static_cast<std::uint64_t>(r)};
  }
  static breaker_permit probe(std::uint64_t word, std::uint64_t number) noexcept {
    return {word, number << 16 | static_cast<std::uint64_t>(role::probe)};
  }
  static breaker_permit uncounted(std::uint64_t word) noexcept {
    return {word, static_cast<std::uint64_t>(role::uncounted)};
  }

  role is() const noexcept { return static_cast<role>(mark & 0xfu); }
  bool is_probe() const noexcept { return is() == role::probe; }
  std::uint64_t probe_number() const noexcept { return mark >> 16; }
  unsigned lane() const noexcept { return static_cast<unsigned>(mark >> 4) & 0xfu; }

  // Of the start the lowest four bits and the highest four are not kept: it is good to 16 ns, for
  // 36 years.
  static constexpr std::int64_t kept_time = 0x0fff'ffff'ffff'fff0;

  /// The start, without the bits that are not kept.
  std::int64_t start() const noexcept { return static_cast<std::int64_t>(mark >> 8 << 4); }

  /// The time since the start.
  duration taken(time_point now) const noexcept {
    const auto end = static_cast<std::uint64_t>(now.time_since_epoch().count());
    return duration(static_cast<std::int64_t>((end << 4) - (mark >> 8 << 8)) >> 4);
  }

  // For the layer of a probe: a small number to keep.
  unsigned note() const noexcept { return static_cast<unsigned>(mark >> 8) & 0xffu; }
  void set_note(unsigned n) noexcept { mark |= (n & 0xffu) << 8; }
};

/// How a call ended, as far as a breaker cares.
struct breaker_outcome {
  time_point now;
  duration retry_after{-1};   ///< The service's hint; negative if there is none.
  std::uint64_t random = 0;   ///< For the jitter of the open time.
  /// Read again where a function of the user's has run since `now`; null: it took no time.
  const time_service* clock = nullptr;
};

}  // namespace holdfast::detail

#endif
