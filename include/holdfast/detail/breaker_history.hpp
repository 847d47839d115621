// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_BREAKER_HISTORY_HPP
#define HOLDFAST_DETAIL_BREAKER_HISTORY_HPP

#include <array>
#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/policy/breaker_snapshot.hpp>

namespace holdfast::detail {

/// How often something happened within the last hour, to a minute.
class hourly_count {
 public:
  void add(time_point now) noexcept;
  unsigned sum(time_point now) const noexcept;

 private:
  struct minute {
    std::int64_t number = -1;
    unsigned count = 0;
  };
  static std::int64_t minute_of(time_point t) noexcept {
    return t.time_since_epoch() / std::chrono::minutes(1);
  }
  std::array<minute, 60> minutes_{};
};

/// How long a breaker has been in which state. Used under the breaker's lock.
class breaker_history {
 public:
  explicit breaker_history(time_point born) noexcept : since_(born) {}

  void change(breaker_state from, breaker_state to, time_point now) noexcept;
  void fill(breaker_snapshot& s, time_point now) const noexcept;

 private:
  time_point since_;  // in the present state
  std::array<duration, breaker_states> spent_{};  // without the present stay
  hourly_count half_open_;
};

}  // namespace holdfast::detail

#endif
