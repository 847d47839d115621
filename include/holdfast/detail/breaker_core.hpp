// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_BREAKER_CORE_HPP
#define HOLDFAST_DETAIL_BREAKER_CORE_HPP

#include <atomic>
#include <functional>
#include <holdfast/clock.hpp>
#include <holdfast/detail/event_queue.hpp>
#include <holdfast/detail/failure_window.hpp>
#include <holdfast/errc.hpp>
#include <holdfast/policy/circuit_breaker_options.hpp>
#include <holdfast/verdict.hpp>
#include <mutex>
#include <vector>

namespace holdfast::detail {

/// The right to make one call, good for the state in which it was given.
struct breaker_permit {
  std::uint64_t word = 0;   // the state word at admission
  std::uint64_t probe = 0;  // the number of the probe; 0 where the circuit was closed
};

/// The state machine of a circuit breaker: a pure function of its calls and of the times they bring.
///
/// The state and the number of the change that led to it are one word, read by every call and
/// written only by a change, under the mutex. While closed, calls touch nothing else but counters.
class breaker_core {
 public:
  explicit breaker_core(circuit_breaker_options options);

  /// Admits a call or refuses it.
  bool try_enter(breaker_permit& permit, time_point now) {
    const std::uint64_t word = word_.load(std::memory_order_acquire);
    if (state_of(word) == breaker_state::closed) [[likely]] {
      permit = {word, 0};
      return true;
    }
    return try_enter_slow(permit, word, now);
  }

  /// Takes an admission back, with what the call says of the service. Neutral verdicts only give
  /// the place back; `now` is not used for them.
  [[gnu::always_inline]] void leave(const breaker_permit& permit, verdict v, time_point now) {
    if (permit.probe == 0 && v == verdict::success) [[likely]] {
      if (word_.load(std::memory_order_acquire) != permit.word) return;
      if (consecutive_.load(std::memory_order_relaxed) != 0) {
        consecutive_.store(0, std::memory_order_relaxed);
      }
      if (!rated_) return;
      window_.add_good(now);
      if (window_.may_hold_bad(now)) [[unlikely]] judge_rate(permit.word, now);
      return;
    }
    leave_slow(permit, v, now);
  }

  const std::string& name() const noexcept { return options_.name; }
  breaker_state state() const noexcept { return state_of(word_.load(std::memory_order_acquire)); }
  duration remaining_open(time_point now) const noexcept;
  breaker_snapshot snapshot(time_point now) const;
  void isolate(time_point now);
  void reset(time_point now);
  subscription on_transition(std::function<void(const breaker_transition&)> listener);
  void describe(std::string& out) const;

 private:
  // The word: the state in the low bits, the number of changes above them.
  static constexpr unsigned state_bits = 2;
  static breaker_state state_of(std::uint64_t word) noexcept {
    return static_cast<breaker_state>(word & ((1u << state_bits) - 1));
  }
  static std::uint64_t generation_of(std::uint64_t word) noexcept { return word >> state_bits; }

  bool try_enter_slow(breaker_permit& permit, std::uint64_t word, time_point now);
  bool reserve_probe_locked(breaker_permit& permit, time_point now);
  void leave_slow(const breaker_permit& permit, verdict v, time_point now);
  void count_bad(std::uint64_t word, time_point now);
  void judge_rate(std::uint64_t word, time_point now);
  void end_probe(const breaker_permit& permit, verdict v, time_point now);
  void trip(std::uint64_t word, breaker_cause cause, time_point now);
  void change_locked(breaker_state to, breaker_cause cause, time_point now);

  /// A place for a call in the half-open state.
  struct probe_place {
    std::uint64_t probe = 0;  // 0: free
    time_point lease_ends;
  };

  const circuit_breaker_options options_;
  const bool rated_;

  std::atomic<std::uint64_t> word_{0};
  std::atomic<time_point::rep> open_until_{0};  // meaningful while open
  std::atomic<unsigned> consecutive_{0};
  failure_window window_;
  std::atomic<std::uint64_t> refused_{0};

  mutable std::mutex mutex_;  // held for changes of state and for probes
  std::vector<probe_place> probes_;
  std::uint64_t last_probe_ = 0;
  unsigned probe_successes_ = 0;
  event_queue<breaker_transition> events_;
};

}  // namespace holdfast::detail

#endif
