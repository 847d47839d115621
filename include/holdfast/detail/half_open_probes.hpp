// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_HALF_OPEN_PROBES_HPP
#define HOLDFAST_DETAIL_HALF_OPEN_PROBES_HPP

#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/policy/circuit_breaker_options.hpp>
#include <optional>
#include <vector>

namespace holdfast::detail {

/// What the end of a call means for the state that it was to try.
enum class trial_result : std::uint8_t { undecided, passed, failed };

/// The places of a half-open circuit and what their probes have shown. Used under the breaker's
/// lock.
class half_open_probes {
 public:
  /// Takes a place: the number of the probe, or 0 where none is free.
  std::uint64_t reserve(const circuit_breaker_options& o, time_point now);

  /// Gives a place back; the time at which the probe began, or nothing if it has lost the place.
  std::optional<time_point> end(std::uint64_t probe) noexcept;

  /// Takes back one place whose lease is over. Returns false if there is none.
  bool end_overdue(const circuit_breaker_options& o, time_point now) noexcept;

  /// Counts the result of a probe that had a place until now.
  trial_result count(const circuit_breaker_options& o, bool bad) noexcept;

  /// Begins anew, with numbers that no probe of an earlier generation has.
  void begin(std::uint64_t generation) noexcept;

  unsigned in_flight() const noexcept { return static_cast<unsigned>(places_.size()); }
  unsigned good() const noexcept { return good_; }

 private:
  struct place {
    std::uint64_t probe;
    time_point began;
  };

  std::vector<place> places_;  // those that are taken, the oldest first
  std::uint64_t last_probe_ = 0;
  unsigned good_ = 0;
  unsigned bad_ = 0;
};

}  // namespace holdfast::detail

#endif
