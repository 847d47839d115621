// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <algorithm>
#include <holdfast/detail/cache_layer.hpp>
#include <holdfast/detail/format.hpp>
#include <holdfast/detail/option_faults.hpp>

namespace holdfast::detail {

void check_cache_options(std::string_view name, const cache_rules& rules,
                         const cache_habits& habits) {
  option_faults faults;
  faults.at_least("max_entries", rules.max_entries, 1);
  faults.at_least("ttl", rules.ttl, duration::zero());
  faults.between("ttl_jitter", rules.ttl_jitter, 0, 1);
  faults.at_least("stale_while_revalidate", rules.stale_while_revalidate, duration::zero());
  faults.at_least("stale_if_error", rules.stale_if_error.value_or(duration::zero()), duration::zero());
  faults.between("refresh_ahead", rules.refresh_ahead, 0, 1);
  faults.at_least("refresh_timeout", habits.refresh_timeout, duration(1));
  faults.at_least("failed_refresh_wait", rules.failed_refresh_wait, duration::zero());
  faults.at_least("max_failed_refresh_wait", rules.max_failed_refresh_wait,
                  std::max(rules.failed_refresh_wait, duration::zero()));
  faults.at_least("negative_ttl", rules.negative_ttl, duration::zero());
  if (rules.max_weight != 0 && !habits.weighs) {
    faults.add("max_weight", fmt::format("{}", rules.max_weight), "needs a weight function");
  }
  if (habits.one_answer && habits.makes_keys) {
    faults.add("one_answer", "true", "needs no key function; leave one of them out");
  }
  faults.raise_if_any(name.empty() ? "cache" : fmt::format("cache '{}'", name));
}

void describe_cache(std::string& out, std::string_view name, const cache_rules& rules,
                    const cache_habits& habits) {
  out += fmt::format("cache '{}': at most {} answers", name, rules.max_entries);
  if (rules.max_weight != 0) out += fmt::format(" of a weight of {}", rules.max_weight);
  if (rules.ttl == duration::zero()) {
    out += ", none kept, calls at the same time share one";
  } else {
    out += fmt::format(", fresh for {}", format_duration(rules.ttl));
    if (rules.ttl_jitter > 0) out += fmt::format(" less up to {:g}%", rules.ttl_jitter * 100);
  }
  if (rules.refresh_ahead > 0) {
    out += fmt::format(", fetched again from {:g}% of it", rules.refresh_ahead * 100);
  }
  if (rules.stale_while_revalidate > duration::zero()) {
    out += fmt::format(", stale while revalidating for {}",
                       format_duration(rules.stale_while_revalidate));
  }
  if (rules.stale_if_error > duration::zero()) {
    out += fmt::format(", stale on errors for {}", format_duration(*rules.stale_if_error));
  }
  if (rules.refresh_ahead > 0 || rules.stale_while_revalidate > duration::zero()) {
    out += fmt::format(", a refresh may take {}", format_duration(habits.refresh_timeout));
    if (rules.failed_refresh_wait > duration::zero()) {
      out += fmt::format(" and is put off for {} to {} if it fails",
                         format_duration(rules.failed_refresh_wait),
                         format_duration(rules.max_failed_refresh_wait));
    }
  }
  if (rules.negative_ttl > duration::zero()) {
    out += fmt::format(", failures for {}", format_duration(rules.negative_ttl));
  }
  if (habits.chooses) out += ", a predicate chooses what is kept";
  if (habits.makes_keys) out += ", a function makes the keys";
  if (habits.one_answer) out += ", one answer for all calls without a key";
}

std::shared_ptr<const cache_state::observer_list> cache_state::living(
    std::shared_ptr<cache_observer> added) const {
  auto next = std::make_shared<observer_list>();
  if (observers_) {
    for (const auto& weak : *observers_) {
      if (!weak.expired()) next->push_back(weak);
    }
  }
  if (added) next->push_back(std::move(added));
  if (next->empty()) return nullptr;
  next->shrink_to_fit();
  return next;
}

void cache_state::observe(const std::shared_ptr<cache_observer>& o) {
  std::shared_ptr<const observer_list> old;  // given up outside of the lock
  const std::lock_guard lock(mutex_);
  old = std::exchange(observers_, living(o));
}

void cache_state::forget_dead_observers() noexcept {
  std::shared_ptr<const observer_list> old;
  const std::lock_guard lock(mutex_);
  try {
    old = std::exchange(observers_, living());
  } catch (const std::bad_alloc&) {
    // Their places go with the next one.
  }
}

step cache_gate::ask(frame& f, operation& op) const noexcept {
  try {
    if (!op.options.cache_key.empty()) return look(f, op, op.options.cache_key);
    const std::string key = state_->make_key(op);
    op.start_edge_precisely();  // what begins now begins after it
    return key.empty() ? step::go : look(f, op, key);
  } catch (...) {
    // No memory, or the user's function failed: the call is made as if there were no cache.
    f.ticket.reset();
    f.answer.reset();
    return step::go;
  }
}

step cache_gate::look(frame& f, operation& op, std::string_view key) const {
  using found = cache_core::found;
  for (;;) {
    cache_answer a;
    const found what = state_->core.ask(key, op.now(), a);
    f.answer = std::move(a.item);
    f.quality = a.quality;
    if (what == found::hit) return step::answer;

    const bool leads = what != found::follow;
    detail::flight& joined = *a.flight;
    try {
      f.ticket = std::make_unique<flight_ticket>(state_, std::move(a.flight), leads);
    } catch (...) {
      if (leads) state_->core.hand_over(joined);
      throw;
    }
    if (what == found::refresh && op.detachable) return step::answer;
    if (leads) {
      f.answer.reset();
      return step::go;
    }

    switch (joined.join(f.ticket->seat, op.prepare_wait())) {
      case flight::boarding::follows:
        op.wait_until = op.limit.at;
        return step::wait;
      case flight::boarding::landed:
        f.answer = joined.outcome();
        f.quality = joined.quality();
        f.ticket.reset();
        return step::answer;
      case flight::boarding::over: f.ticket.reset(); break;
    }
  }
}

step cache_gate::resumed(frame& f, operation& op, wait_end end) const {
  const detail::flight& joined = *f.ticket->flight;
  if (end == wait_end::granted) {
    if (joined.leads(f.ticket->seat)) return step::go;
    f.answer = joined.outcome();
    f.quality = joined.quality();
    f.ticket.reset();
    return step::answer;
  }
  if (end == wait_end::cancelled) {
    f.ticket.reset();
    op.refuse({.code = errc::cancelled});
    return step::refuse;
  }
  // Out of time. What may stand in for a failure may stand in for this one.
  cache_answer a = state_->core.look_up(joined.key(), op.now(), cache_core::age::stands_in);
  f.ticket.reset();
  if (a.item) {
    f.answer = std::move(a.item);
    f.quality = a.quality;
    return step::answer;
  }
  op.refuse({.code = op.limit.code, .policy = policy_kind::timeout});
  return step::refuse;
}

bool cache_gate::concerns_nobody_else(operation& op, const failure* f) noexcept {
  if (op.caller_cancelled()) return true;
  if (!f) return false;
  const auto& code = f->code();
  return code == boost::system::errc::operation_canceled || code == errc::deadline_too_near ||
         (op.timed() && op.now() >= op.limit.at);
}

void cache_gate::note(operation& op, verdict v, holdfast::quality q) const {
  if (op.options.ledger) {
    op.options.ledger->answer_from_cache(state_->core.name(), q, v, op.now());
  }
}

}  // namespace holdfast::detail
