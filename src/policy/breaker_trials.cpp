// SPDX-License-Identifier: BSL-1.0
// The way back to closed: probes while half-open, then the steps of the recovery ramp.
#include <holdfast/detail/breaker_cell.hpp>
#include <holdfast/detail/breaker_core.hpp>
#include <holdfast/detail/breaker_machine.hpp>

namespace holdfast::detail {

template <class Store>
bool breaker_machine<Store>::enter_probe_locked(breaker_permit& permit, time_point now,
                                                bool& changed) {
  if (fail_overdue_locked({.now = now})) {
    changed = true;
    return enter_locked(permit, now, changed);
  }
  const std::uint64_t probe = this->side().probes.reserve(*this->rules().options(), now);
  if (probe == 0) return false;
  permit = breaker_permit::probe(word_.load(std::memory_order_relaxed), probe);
  return true;
}

/// Counts probes that have outlived their lease as failed. True: the state has changed.
template <class Store>
bool breaker_machine<Store>::fail_overdue_locked(const breaker_outcome& o) {
  const auto options = this->rules().options();
  while (this->side().probes.end_overdue(*options, o.now)) {
    if (count_probe_locked(true, o)) return true;
  }
  return false;
}

/// Counts the result of a probe. True: the state has changed.
template <class Store>
bool breaker_machine<Store>::count_probe_locked(bool bad, const breaker_outcome& o) {
  const auto options = this->rules().options();
  switch (this->side().probes.count(*options, bad)) {
    case trial_result::undecided: return false;
    case trial_result::passed:
      if (options->recovery) {
        step_locked(0, breaker_cause::probes_succeeded, o.now);
      } else {
        change_locked(breaker_state::closed, breaker_cause::probes_succeeded, o.now, 1.0);
      }
      break;
    case trial_result::failed: open_locked(breaker_cause::probe_failed, o); break;
  }
  return true;
}

template <class Store>
void breaker_machine<Store>::leave_probe(const breaker_permit& permit, verdict v,
                                         const breaker_outcome& o) {
  {
    const std::lock_guard lock(this->mutex());
    // A probe of an earlier half-open period, or one that lost its place, has no say.
    if (state_of(word_.load(std::memory_order_relaxed)) != breaker_state::half_open) return;
    if (!fail_overdue_locked(o)) {
      const auto began = this->side().probes.end(permit.probe_number());
      if (!began || !kind_of(v, false)) return;
      const auto kind = *kind_of(v, this->rules().took_long(o.now - *began));
      if (!count_probe_locked(this->rules().is_bad_probe(kind), o)) return;
    }
  }
  this->rules().events.deliver();
}

template <class Store>
void breaker_machine<Store>::leave_share(const breaker_permit& permit, verdict v,
                                         const breaker_outcome& o) {
  if (!kind_of(v, false)) return;
  const auto kind = *kind_of(v, this->rules().took_long(permit.taken(o.now)));
  bool changed = false;
  {
    const std::lock_guard lock(this->mutex());
    if (word_.load(std::memory_order_relaxed) != permit.word) return;
    const auto options = this->rules().options();
    auto& recovery = this->side().recovery;
    const std::size_t step = recovery.step();
    const bool bad = this->rules().is_bad_probe(kind);
    // The options may have changed since the step began: without a ramp, or with a shorter one, the
    // circuit is at its end.
    const bool known = options->recovery && step < options->recovery->steps.size();
    const trial_result result =
        known ? recovery.count(options->recovery->steps[step], bad, o.now)
              : bad ? trial_result::failed : trial_result::passed;
    if (result == trial_result::passed) {
      changed = true;
      if (known && step + 1 < options->recovery->steps.size()) {
        step_locked(step + 1, breaker_cause::step_passed, o.now);
      } else {
        change_locked(breaker_state::closed, breaker_cause::step_passed, o.now, 1.0);
      }
    } else if (result == trial_result::failed) {
      changed = true;
      if (known && step > 0 &&
          options->recovery->failed_step == recovery_ramp::on_failure::back_one_step) {
        step_locked(step - 1, breaker_cause::step_failed, o.now);
      } else {
        open_locked(breaker_cause::step_failed, o);
      }
    }
  }
  if (changed) this->rules().events.deliver();
}

template <class Store>
void breaker_machine<Store>::step_locked(std::size_t step, breaker_cause cause, time_point now) {
  this->side().recovery.begin(step, now);
  change_locked(breaker_state::recovering, cause, now, share_locked(breaker_state::recovering));
}

template <class Store>
double breaker_machine<Store>::share_locked(breaker_state s) const {
  switch (s) {
    case breaker_state::closed:
    case breaker_state::disabled:
    case breaker_state::metrics_only: return 1.0;
    case breaker_state::recovering: {
      const breaker_side* side = this->peek_side();
      const auto options = this->rules().options();
      if (!side || !options->recovery) return 1.0;
      const auto& steps = options->recovery->steps;
      const std::size_t step = side->recovery.step();
      return step < steps.size() ? steps[step].share : 1.0;
    }
    case breaker_state::open:
    case breaker_state::half_open:
    case breaker_state::isolated: break;
  }
  return 0.0;
}

template bool breaker_machine<full_breaker_store>::enter_probe_locked(breaker_permit&, time_point,
                                                                      bool&);
template bool breaker_machine<full_breaker_store>::fail_overdue_locked(const breaker_outcome&);
template bool breaker_machine<full_breaker_store>::count_probe_locked(bool, const breaker_outcome&);
template void breaker_machine<full_breaker_store>::leave_probe(const breaker_permit&, verdict,
                                                               const breaker_outcome&);
template void breaker_machine<full_breaker_store>::leave_share(const breaker_permit&, verdict,
                                                               const breaker_outcome&);
template void breaker_machine<full_breaker_store>::step_locked(std::size_t, breaker_cause,
                                                               time_point);
template double breaker_machine<full_breaker_store>::share_locked(breaker_state) const;
template bool breaker_machine<compact_breaker_store>::enter_probe_locked(breaker_permit&,
                                                                         time_point, bool&);
template bool breaker_machine<compact_breaker_store>::fail_overdue_locked(const breaker_outcome&);
template bool breaker_machine<compact_breaker_store>::count_probe_locked(bool,
                                                                         const breaker_outcome&);
template void breaker_machine<compact_breaker_store>::leave_probe(const breaker_permit&, verdict,
                                                                  const breaker_outcome&);
template void breaker_machine<compact_breaker_store>::leave_share(const breaker_permit&, verdict,
                                                                  const breaker_outcome&);
template void breaker_machine<compact_breaker_store>::step_locked(std::size_t, breaker_cause,
                                                                  time_point);
template double breaker_machine<compact_breaker_store>::share_locked(breaker_state) const;

}  // namespace holdfast::detail
