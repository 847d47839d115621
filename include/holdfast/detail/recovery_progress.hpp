// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_RECOVERY_PROGRESS_HPP
#define HOLDFAST_DETAIL_RECOVERY_PROGRESS_HPP

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/detail/half_open_probes.hpp>
#include <holdfast/detail/share.hpp>
#include <holdfast/policy/circuit_breaker_options.hpp>

namespace holdfast::detail {

/// Where a circuit stands on its way back to closed. Used under the breaker's lock.
class recovery_progress {
 public:
  void begin(std::size_t step, time_point now) noexcept {
    step_ = step;
    since_ = now;
    phase_ = whole;  // the first call of a step is admitted
    ended_ = bad_ = 0;
  }

  std::size_t step() const noexcept { return step_; }

  /// Decides whether the next call is admitted, by error diffusion: each call adds the share to an
  /// account, and a call that finds a whole one on it takes that and goes.
  /// Source: R. Floyd and L. Steinberg, "An Adaptive Algorithm for Spatial Grey Scale", 1976, in
  /// one dimension.
  bool admit(double share) noexcept {
    const bool admitted = phase_ >= whole;
    if (admitted) phase_ -= whole;
    // Rounded up: ten tenths are one.
    phase_ += static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(whole)));
    return admitted;
  }

  /// Counts the end of a call that was admitted to this step.
  trial_result count(const recovery_step& s, bool bad, time_point now) noexcept {
    ++ended_;
    bad_ += bad;
    // Enough bad ones for all that are to be judged: the rest need not be waited for.
    const auto judged = std::max<std::uint64_t>(ended_, s.minimum_calls);
    if (bad_ > 0 && reaches(bad_, judged, s.failure_rate)) return trial_result::failed;
    return ended_ >= s.minimum_calls && now - since_ >= s.at_least ? trial_result::passed
                                                                   : trial_result::undecided;
  }

 private:
  static constexpr std::uint64_t whole = std::uint64_t{1} << 32;

  std::size_t step_ = 0;
  time_point since_{};
  std::uint64_t phase_ = whole;
  std::uint64_t ended_ = 0;
  std::uint64_t bad_ = 0;
};

}  // namespace holdfast::detail

#endif
