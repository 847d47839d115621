// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <holdfast/detail/breaker_core.hpp>

namespace holdfast::detail {

full_breaker_store::full_breaker_store(circuit_breaker_options o, time_point born)
    : rules_(std::move(o)), history_(born) {
  const auto options = rules_.options();
  if (options->window_calls != 0) {
    ring_.replace(std::make_unique<call_ring>(options->window_calls));
  }
}

void full_breaker_store::add(call_kind k, time_point now) noexcept {
  if (ring_.use([k](call_ring& ring) { ring.add(k); })) return;
  counts_.add(k, rules_.clock.period(now));
}

window_counts full_breaker_store::counts(time_point now) const noexcept {
  window_counts sum;
  if (ring_.use([&sum](const call_ring& ring) { sum = ring.sum(); })) return sum;
  return counts_.sum(rules_.clock.period(now));
}

void full_breaker_store::clear(std::uint64_t generation) noexcept {
  ring_.use([](call_ring& ring) { ring.clear(); });
  counts_.clear();
  counts_.clear_in_flight(generation);
}

void full_breaker_store::change_window(const circuit_breaker_options& o, time_point now) {
  const auto old = rules_.options();
  const call_ring* const ring = ring_.get();
  const window_counts held = counts(now);
  const auto kinds = {call_kind::good, call_kind::slow, call_kind::failed, call_kind::failed_slow};
  const auto amount = [&held](call_kind k) {
    return k == call_kind::good     ? held.good
           : k == call_kind::slow   ? held.slow
           : k == call_kind::failed ? held.failed
                                    : held.failed_slow;
  };
  if (o.window_calls != 0 && (!ring || ring->size() != o.window_calls)) {
    auto made = std::make_unique<call_ring>(o.window_calls);
    if (ring) {
      made->copy_from(*ring);
    } else {
      // In no order, since none is known; of more than it holds the bad ones stay.
      for (const call_kind k : kinds) {
        for (std::uint64_t i = std::min<std::uint64_t>(amount(k), o.window_calls); i > 0; --i) {
          made->add(k);
        }
      }
    }
    ring_.replace(std::move(made));
  } else if (o.window_calls == 0 && (ring || o.window != old->window)) {
    // What was counted counts as of now, and leaves with the window that begins.
    counts_.clear_for_renumbering();
    rules_.clock.change(o.window);
    for (const call_kind k : kinds) counts_.add(k, rules_.clock.period(now), amount(k));
    ring_.replace(nullptr);
  }
  counts_.unsettle();
}

void breaker_core::reconfigure(circuit_breaker_options o, time_point now) {
  rules().check(o);
  const std::lock_guard lock(mutex());
  const bool was_timed = rules().measures_time();
  const bool width_changes = rules().slow_after() != o.slow_after;
  change_window(o, now);
  // The spans of the calls in flight are parts of the old limit.
  if (was_timed && width_changes) forget_flights(generation());
  rules().change(std::move(o));
}

subscription breaker_core::on_transition(
    std::function<void(const breaker_transition&)> listener) {
  return rules().events.subscribe(std::move(listener));
}

}  // namespace holdfast::detail
