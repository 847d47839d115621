// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_BREAKER_MACHINE_HPP
#define HOLDFAST_DETAIL_BREAKER_MACHINE_HPP

#include <holdfast/clock.hpp>
#include <holdfast/detail/breaker_permit.hpp>
#include <holdfast/detail/breaker_rules.hpp>
#include <holdfast/detail/sync.hpp>
#include <holdfast/policy/breaker_snapshot.hpp>
#include <holdfast/verdict.hpp>

namespace holdfast::detail {

/// The state machine of a circuit breaker: a pure function of its calls and of the times they
/// bring.
///
/// The state and the number of the change that led to it are one word, read by every call and
/// written only by a change, under the lock. While closed, calls touch nothing else but counters.
///
/// `Store` keeps the rules, the counts, the lock and what is rarely needed; it is what makes a
/// breaker fast for many threads (`full_breaker_store`) or small (`compact_breaker_store`):
///   rules(); mutex();
///   side(), peek_side()                       under the lock: made where it is missing, or null
///   settle_side(state), history(...)          under the lock, at each change of state
///   add_good(now) -> bool                     true: the rates are to be judged
///   add(kind, now); counts(now); clear(generation); settle(now)
///   enter(generation, now, lane&) -> bool, leave(...), hanging(...)         calls in flight
///   count_refusal(); refused()
template <class Store>
class breaker_machine : public Store {
 public:
  using Store::Store;

  /// Admits a call or refuses it. For `clock` see `breaker_outcome`.
  bool try_enter(breaker_permit& permit, time_point now, const time_service* clock = nullptr) {
    const std::uint64_t word = word_.load(std::memory_order_acquire);
    if (state_of(word) == breaker_state::closed && !this->rules().measures_time()) [[likely]] {
      permit = {word, 0};
      return true;
    }
    return try_enter_slow(permit, word, now, clock);
  }

  /// Takes the admission of a plain call back, which went well. True: the rates are to be judged.
  [[gnu::always_inline]] bool count_good(const breaker_permit& permit, time_point now) noexcept {
    // Relaxed: who was given this permit has acquired its word.
    if (word_.load(std::memory_order_relaxed) != permit.word) return false;
    // Nothing is written where nothing changes: the line stays shared between the processors.
    if (consecutive_.load(std::memory_order_relaxed) != 0) [[unlikely]] {
      consecutive_.store(0, std::memory_order_relaxed);
    }
    return this->rules().rated() && this->add_good(now);
  }

  /// Takes an admission back, with what the call says of the service. Verdicts that say nothing
  /// only give the place back; the time is not used for them.
  void leave(const breaker_permit& permit, verdict v, const breaker_outcome& o) {
    if (permit.mark == 0 && v == verdict::success) [[likely]] {
      if (count_good(permit, o.now)) judge(permit.word, o);
    } else {
      leave_slow(permit, v, o);
    }
  }
  void leave(const breaker_permit& permit, verdict v, time_point now) {
    leave(permit, v, breaker_outcome{.now = now});
  }
  void leave_slow(const breaker_permit& permit, verdict v, const breaker_outcome& o);

  /// Opens the circuit if a rule is broken.
  void judge(std::uint64_t word, const breaker_outcome& o);

  breaker_state state() const noexcept { return state_of(word_.load(std::memory_order_acquire)); }

  /// Counts the changes of state, each of which listeners are told of.
  std::uint64_t generation() const noexcept {
    return generation_of(word_.load(std::memory_order_relaxed));
  }
  duration remaining_open(time_point now) const noexcept;
  breaker_snapshot snapshot(time_point now) const;

  void isolate(time_point now);
  void disable(time_point now);
  void observe(time_point now);
  void reset(time_point now);

 protected:
  static constexpr unsigned state_bits = 3;
  static breaker_state state_of(std::uint64_t word) noexcept {
    return static_cast<breaker_state>(word & ((1u << state_bits) - 1));
  }
  static std::uint64_t generation_of(std::uint64_t word) noexcept { return word >> state_bits; }
  unsigned in_a_row() const noexcept { return consecutive_.load(std::memory_order_relaxed); }

 private:
  using role = breaker_permit::role;

  bool try_enter_slow(breaker_permit& permit, std::uint64_t word, time_point now,
                      const time_service* clock);
  bool enter_timed(breaker_permit& permit, std::uint64_t word, time_point now,
                   const time_service* clock);
  bool enter_locked(breaker_permit& permit, time_point now, bool& changed);
  bool enter_probe_locked(breaker_permit& permit, time_point now, bool& changed);
  bool fail_overdue_locked(const breaker_outcome& o);
  bool count_probe_locked(bool bad, const breaker_outcome& o);
  void leave_call(const breaker_permit& permit, verdict v, const breaker_outcome& o);
  void leave_probe(const breaker_permit& permit, verdict v, const breaker_outcome& o);
  void leave_share(const breaker_permit& permit, verdict v, const breaker_outcome& o);
  void count(std::uint64_t word, call_kind k, const breaker_outcome& o);
  void extend_open(const breaker_permit& permit, verdict v, const breaker_outcome& o);
  void trip(std::uint64_t word, breaker_cause cause, const breaker_outcome& o);
  void open_locked(breaker_cause cause, const breaker_outcome& o);
  void step_locked(std::size_t step, breaker_cause cause, time_point now);
  void change_locked(breaker_state to, breaker_cause cause, time_point now, double share);
  void change_by_hand(breaker_state to, breaker_cause cause, time_point now);
  breaker_window window(std::uint64_t word, time_point now) const noexcept;
  double share_locked(breaker_state s) const;

  sync::atomic<unsigned> consecutive_{0};        // bad calls in a row; fills a gap in a small store
  sync::atomic<std::uint64_t> word_{0};  // the state in the low bits, the number of changes above
  sync::atomic<time_point::rep> open_until_{0};  // meaningful while open
};

}  // namespace holdfast::detail

#endif
