// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <holdfast/detail/breaker_cell.hpp>
#include <holdfast/detail/breaker_core.hpp>
#include <holdfast/detail/breaker_machine.hpp>
#include <holdfast/time/time_service.hpp>
#include <optional>

namespace holdfast::detail {

template <class Store>
bool breaker_machine<Store>::try_enter_slow(breaker_permit& permit, std::uint64_t word,
                                            time_point now, const time_service* clock) {
  switch (state_of(word)) {
    case breaker_state::closed:
    case breaker_state::metrics_only:
      if (enter_timed(permit, word, now, clock)) return true;
      break;  // the calls that hang have opened it
    case breaker_state::disabled:
      permit = breaker_permit::uncounted(word);
      return true;
    case breaker_state::isolated:
      this->count_refusal();
      return false;
    case breaker_state::open: {
      const time_point until{duration(open_until_.load(std::memory_order_relaxed))};
      // The cheap clock may be behind: a call that has waited for the open time must be admitted.
      if (now < until && clock && until - now <= 4 * clock->resolution()) now = clock->precise_now();
      if (now < until) {
        this->count_refusal();
        return false;
      }
      break;
    }
    case breaker_state::half_open:
    case breaker_state::recovering: break;
  }
  bool changed = false;
  bool admitted;
  {
    const std::lock_guard lock(this->mutex());
    admitted = enter_locked(permit, now, changed);
  }
  if (changed) this->rules().events.deliver();
  if (!admitted) this->count_refusal();
  return admitted;
}

template <class Store>
bool breaker_machine<Store>::enter_timed(breaker_permit& permit, std::uint64_t word,
                                         time_point now, const time_service* clock) {
  if (!this->rules().measures_time()) {
    permit = {word, 0};
    return true;
  }
  unsigned lane = 0;
  const bool first_of_span = this->enter(generation_of(word), now, lane);
  permit = breaker_permit::timed(word, role::timed, lane, now);
  if (first_of_span && this->rules().rated()) judge(word, {.now = now, .clock = clock});
  return word_.load(std::memory_order_relaxed) == word;
}

template <class Store>
bool breaker_machine<Store>::enter_locked(breaker_permit& permit, time_point now, bool& changed) {
  const std::uint64_t word = word_.load(std::memory_order_relaxed);
  switch (state_of(word)) {
    case breaker_state::closed:
    case breaker_state::metrics_only:
      permit = {word, 0};
      return true;
    case breaker_state::disabled:
      permit = breaker_permit::uncounted(word);
      return true;
    case breaker_state::isolated: return false;
    case breaker_state::open:
      if (now.time_since_epoch().count() < open_until_.load(std::memory_order_relaxed))
        return false;
      change_locked(breaker_state::half_open, breaker_cause::open_time_over, now, 0.0);
      changed = true;
      return enter_probe_locked(permit, now, changed);
    case breaker_state::half_open: return enter_probe_locked(permit, now, changed);
    case breaker_state::recovering: {
      auto& recovery = this->side().recovery;
      if (!recovery.admit(share_locked(breaker_state::recovering))) return false;
      permit = breaker_permit::timed(word, role::share, 0, now);
      return true;
    }
  }
  return false;
}

template <class Store>
void breaker_machine<Store>::leave_slow(const breaker_permit& permit, verdict v,
                                        const breaker_outcome& o) {
  switch (permit.is()) {
    case role::plain:
    case role::timed: return leave_call(permit, v, o);
    case role::probe: return leave_probe(permit, v, o);
    case role::share: return leave_share(permit, v, o);
    case role::uncounted: return;
  }
}

template <class Store>
void breaker_machine<Store>::leave_call(const breaker_permit& permit, verdict v,
                                        const breaker_outcome& o) {
  const bool timed = permit.is() == role::timed;
  const bool says_something = kind_of(v, false).has_value();
  const duration took =
      timed && says_something ? permit.taken(o.now) : duration::zero();
  if (timed) this->leave_flight(generation_of(permit.word), permit.start(), permit.lane());
  if (word_.load(std::memory_order_relaxed) != permit.word) return extend_open(permit, v, o);
  if (!says_something) return;
  count(permit.word, *kind_of(v, this->rules().took_long(took)), o);
  // Another call may have opened the circuit meanwhile.
  if (word_.load(std::memory_order_relaxed) != permit.word) extend_open(permit, v, o);
}

template <class Store>
void breaker_machine<Store>::count(std::uint64_t word, call_kind k, const breaker_outcome& o) {
  const breaker_rules& rules = this->rules();
  bool to_judge = false;
  if (rules.rated()) {
    if (k == call_kind::good) {
      to_judge = this->add_good(o.now);
    } else {
      this->add(k, o.now);
      to_judge = true;
    }
  }
  if (rules.is_bad(k)) {
    const unsigned in_a_row = consecutive_.fetch_add(1, std::memory_order_relaxed) + 1;
    const unsigned limit = rules.consecutive();
    if (limit != 0 && in_a_row >= limit) {
      return trip(word, breaker_cause::consecutive_failures, o);
    }
  } else if (consecutive_.load(std::memory_order_relaxed) != 0) {
    consecutive_.store(0, std::memory_order_relaxed);
  }
  if (to_judge) judge(word, o);
}

template <class Store>
breaker_window breaker_machine<Store>::window(std::uint64_t word, time_point now) const noexcept {
  return breaker_rules::view(this->counts(now), this->hanging(generation_of(word), now),
                             in_a_row());
}

template <class Store>
void breaker_machine<Store>::judge(std::uint64_t word, const breaker_outcome& o) {
  if (state_of(word) != breaker_state::closed) return;  // nothing is opened in metrics_only
  breaker_rules& rules = this->rules();
  const breaker_window w = window(word, o.now);
  if (!rules.judges(w)) return;
  if (const auto cause = rules.broken(w)) {
    breaker_outcome then = o;
    // The open time begins after the predicate.
    if (rules.has_predicate() && o.clock) then.now = o.clock->precise_now();
    trip(word, *cause, then);
  } else if (!rules.has_predicate()) {
    this->settle(o.now);
  }
}

template <class Store>
void breaker_machine<Store>::trip(std::uint64_t word, breaker_cause cause,
                                  const breaker_outcome& o) {
  if (state_of(word) != breaker_state::closed) return;
  {
    const std::lock_guard lock(this->mutex());
    // Of several calls that see a rule broken, one opens the circuit.
    if (word_.load(std::memory_order_relaxed) != word) return;
    open_locked(cause, o);
  }
  this->rules().events.deliver();
}

template <class Store>
void breaker_machine<Store>::open_locked(breaker_cause cause, const breaker_outcome& o) {
  const auto options = this->rules().options();
  breaker_side& side = this->side();
  duration open_for = open_time(*options, side.reopened++, o.random);
  open_for = std::max(open_for, std::min(o.retry_after, options->max_retry_after));
  side.opened_at = o.now;
  open_until_.store(saturating_add(o.now, open_for).time_since_epoch().count(),
                    std::memory_order_relaxed);
  change_locked(breaker_state::open, cause, o.now, 0.0);
}

/// A call from before the circuit opened has no say any more, but its hint is news.
template <class Store>
void breaker_machine<Store>::extend_open(const breaker_permit& permit, verdict v,
                                         const breaker_outcome& o) {
  if (o.retry_after <= duration::zero() || is_answer(v)) return;
  const std::lock_guard lock(this->mutex());
  const std::uint64_t word = word_.load(std::memory_order_relaxed);
  if (state_of(word) != breaker_state::open ||
      generation_of(word) != generation_of(permit.word) + 1) {
    return;
  }
  // Bounded by when it opened: hints that come again and again do not keep it open for ever.
  const time_point hinted =
      std::min(saturating_add(o.now, o.retry_after),
               saturating_add(this->side().opened_at, this->rules().options()->max_retry_after));
  const auto until = hinted.time_since_epoch().count();
  if (until > open_until_.load(std::memory_order_relaxed)) {
    open_until_.store(until, std::memory_order_relaxed);
  }
}

template <class Store>
void breaker_machine<Store>::change_locked(breaker_state to, breaker_cause cause, time_point now,
                                           double share) {
  const std::uint64_t word = word_.load(std::memory_order_relaxed);
  const breaker_state from = state_of(word);
  const std::uint64_t next = generation_of(word) + 1;
  breaker_side& side = this->side();
  side.probes.begin(next);
  if (to != breaker_state::open && to != breaker_state::half_open &&
      to != breaker_state::recovering) {
    side.reopened = 0;
  }
  consecutive_.store(0, std::memory_order_relaxed);
  this->clear(next);
  this->record(from, to, now);
  word_.store(next << state_bits | static_cast<std::uint64_t>(to), std::memory_order_release);
  if (from != to || to == breaker_state::recovering) {
    this->rules().events.push([&] {
      return breaker_transition{this->event_name(), from, to, cause, now, next, share};
    });
  }
  this->settle_side(to);
}

template <class Store>
duration breaker_machine<Store>::remaining_open(time_point now) const noexcept {
  if (state() != breaker_state::open) return duration::zero();
  const time_point until{duration(open_until_.load(std::memory_order_relaxed))};
  return std::max(until - now, duration::zero());
}

template <class Store>
breaker_snapshot breaker_machine<Store>::snapshot(time_point now) const {
  breaker_snapshot s{};
  std::uint64_t word;
  {
    const std::lock_guard lock(this->mutex());
    word = word_.load(std::memory_order_relaxed);
    s.state = state_of(word);
    s.generation = generation_of(word);
    if (const breaker_side* side = this->peek_side()) {
      s.probes_in_flight = side->probes.in_flight();
      s.probe_successes = side->probes.good();
      if (s.state == breaker_state::recovering) {
        s.recovery_step = static_cast<unsigned>(side->recovery.step()) + 1;
      }
    }
    s.share = share_locked(s.state);
    this->fill(s, now);
  }
  const breaker_window w = window(word, now);
  s.consecutive_failures = w.consecutive_failures;
  s.calls_in_window = w.calls;
  s.bad_in_window = w.bad;
  s.failed_in_window = w.failed;
  s.slow_in_window = w.slow;
  s.hanging = w.hanging;
  s.remaining_open = remaining_open(now);
  s.refused = this->refused();
  s.listener_errors = this->rules().events.errors() + this->rules().predicate_errors();
  return s;
}

template <class Store>
void breaker_machine<Store>::change_by_hand(breaker_state to, breaker_cause cause,
                                            time_point now) {
  {
    const std::lock_guard lock(this->mutex());
    if (to != breaker_state::closed && state() == to) return;
    change_locked(to, cause, now, share_locked(to));
  }
  this->rules().events.deliver();
}

template <class Store>
void breaker_machine<Store>::isolate(time_point now) {
  change_by_hand(breaker_state::isolated, breaker_cause::isolated_by_hand, now);
}
template <class Store>
void breaker_machine<Store>::disable(time_point now) {
  change_by_hand(breaker_state::disabled, breaker_cause::disabled_by_hand, now);
}
template <class Store>
void breaker_machine<Store>::observe(time_point now) {
  change_by_hand(breaker_state::metrics_only, breaker_cause::observed_by_hand, now);
}
template <class Store>
void breaker_machine<Store>::reset(time_point now) {
  change_by_hand(breaker_state::closed, breaker_cause::reset_by_hand, now);
}

template class breaker_machine<full_breaker_store>;
template class breaker_machine<compact_breaker_store>;

}  // namespace holdfast::detail
