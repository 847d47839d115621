// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_TESTING_CALL_LOG_HPP
#define HOLDFAST_TESTING_CALL_LOG_HPP

#include <cstddef>
#include <cstdint>
#include <holdfast/clock.hpp>
#include <vector>

namespace holdfast::testing {

/// What became of the calls of one span of time.
struct call_summary {
  std::uint64_t begun = 0;  ///< Calls that began in it.
  std::uint64_t calls = 0;  ///< Those that ended in it.
  std::uint64_t good = 0;   ///< Of these, the ones that ended with a value.
  duration p50{0};          ///< How long they took, the bad ones too.
  duration p99{0};
  duration longest{0};

  /// The share of the good ones; 1 where there were no calls.
  double success() const noexcept {
    return calls == 0 ? 1.0 : static_cast<double>(good) / static_cast<double>(calls);
  }
};

/// When each call of a simulation began and ended, and how: 24 bytes for each, for sums of any span
/// whose percentiles are exact. Where that is too much, there is `call_series`. Times are given
/// since `origin`. Thread safety: none.
class call_log {
 public:
  explicit call_log(time_point origin) noexcept : origin_(origin) {}

  /// Notes that a call begins; returns its number, for `end`.
  std::size_t begin(time_point now);
  void end(std::size_t number, time_point now, bool good) noexcept;

  /// Sums up what began, and what ended, from `from` on and before `until`.
  call_summary between(duration from, duration until) const;

  /// How many calls have not ended.
  std::uint64_t unfinished() const noexcept { return entries_.size() - ended_; }

 private:
  struct entry {
    duration began;
    duration ended = duration(-1);
    bool good = false;
  };

  time_point origin_;
  std::vector<entry> entries_;
  std::uint64_t ended_ = 0;
};

}  // namespace holdfast::testing

#endif
