// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <algorithm>
#include <holdfast/detail/format.hpp>
#include <holdfast/detail/limiter_core.hpp>
#include <holdfast/detail/option_faults.hpp>

namespace holdfast {

std::string_view to_string(limiter_algorithm a) noexcept {
  switch (a) {
    case limiter_algorithm::gcra: return "gcra";
    case limiter_algorithm::sliding_window: return "sliding_window";
  }
  return "unknown";
}

namespace detail {

namespace {

constexpr std::int64_t per_ns = limiter_plan::ticks_per_ns;
constexpr std::int64_t most_ticks = limiter_plan::longest.count() * per_ns;

std::string where(const rate_limiter_options& o) {
  return o.name.empty() ? "rate limiter" : fmt::format("rate limiter '{}'", o.name);
}

rate_limiter_options validated(rate_limiter_options o) {
  option_faults faults;
  const auto not_longer = [&](std::string_view option, duration value) {
    if (value > limiter_plan::longest) {
      faults.add(option, format_duration(value), "must be at most 365 days");
    }
  };
  faults.at_least("permits", o.permits, 1);
  faults.at_least("period", o.period, duration(1));
  faults.at_least("max_wait", o.max_wait, duration::zero());
  faults.at_least("max_hint", o.max_hint, duration::zero());
  not_longer("period", o.period);
  not_longer("max_wait", o.max_wait);
  not_longer("max_hint", o.max_hint);
  if (o.period >= duration(1) && o.period.count() < o.permits) {
    faults.add("permits", fmt::format("{}", o.permits), "must be at most one per nanosecond");
  }
  if (o.algorithm == limiter_algorithm::sliding_window) {
    if (o.burst != 0) {
      faults.add("burst", fmt::format("{}", o.burst), "must be 0 with a sliding window");
    }
  } else if (o.permits != 0 && o.period >= duration(1) && o.period <= limiter_plan::longest) {
    const double refill = static_cast<double>(o.burst) * static_cast<double>(o.period.count()) /
                          static_cast<double>(o.permits);
    if (refill > static_cast<double>(limiter_plan::longest.count())) {
      faults.add("burst", fmt::format("{}", o.burst), "must refill within 365 days");
    }
  }
  faults.raise_if_any(where(o));
  if (o.burst == 0) o.burst = o.permits;
  return o;
}

// Guessing when a schedule starts costs up to two clock ticks' worth of permits: a small part of
// such a store, and never its last permit. Smaller ones read the precise clock.
constexpr duration roomy_depth = std::chrono::milliseconds(64);
constexpr std::uint32_t roomy_burst = 16;

/// Makes room for a schedule that was so far ahead under the plan before this one.
void make_room(limiter_plan& plan, const limiter_plan& previous, std::int64_t ahead) {
  const double slower =
      std::max(1.0, static_cast<double>(plan.interval) / static_cast<double>(previous.interval));
  const double room = static_cast<double>(plan.furthest) + slower * static_cast<double>(ahead);
  constexpr std::int64_t most = 2 * most_ticks;
  plan.furthest = room < static_cast<double>(most) ? static_cast<std::int64_t>(room) : most;
}

}  // namespace

limiter_plan::limiter_plan(rate_limiter_options o)
    : options(validated(std::move(o))),
      interval((options.period.count() * per_ns + options.permits - 1) / options.permits),
      depth(options.burst * interval),
      furthest(depth + (std::max(options.max_wait, options.max_hint) + slack).count() * per_ns),
      most_units(options.algorithm == limiter_algorithm::gcra ? options.burst : 0),
      guess_start(options.burst >= roomy_burst && depth >= roomy_depth.count() * per_ns) {}

limiter_plan::limiter_plan(rate_limiter_options o, const limiter_plan& previous)
    : limiter_plan(std::move(o)) {
  // The old schedule is converted permit by permit, and so becomes longer where the rate sinks.
  make_room(*this, previous, previous.depth + (previous.options.max_wait + slack).count() * per_ns);
}

limiter_core::limiter_core(rate_limiter_options o) : name_(o.name) {
  plans_.push_back(std::make_unique<const limiter_plan>(std::move(o)));
  const limiter_plan& p = *plans_.back();
  if (p.options.algorithm == limiter_algorithm::sliding_window) {
    log_ = std::make_unique<sliding_log>(p);
  }
  plan_.store(&p, std::memory_order_release);
}

booking limiter_core::book(std::uint32_t units, time_point now, time_point deadline) {
  const limiter_plan& p = plan();
  // No attempt starts at its deadline: the permits must be there before.
  const time_point latest =
      std::min(saturating_add(now, p.options.max_wait), saturating_add(deadline, duration(-1)));
  return sliding() ? log_->book(p, units, now, held_until(), latest)
                   : schedule_.book(p, units, now, latest);
}

booking limiter_core::book_and_wait(std::uint32_t units, time_point now, time_point deadline) {
  const booking at_once = book(units, now, now);
  const rate_limiter_options& o = plan().options;
  if (at_once.what == booking::kind::admitted || o.max_wait == duration::zero() ||
      at_once.at >= deadline) {
    return at_once;
  }
  // A place first, then the booking, so that no two take one place.
  if (waiting_.fetch_add(1, std::memory_order_relaxed) >= o.max_waiting) {
    wait_over();
    return at_once;
  }
  const booking b = book(units, now, deadline);
  if (b.what != booking::kind::later) wait_over();
  return b;
}

void limiter_core::cancel(std::uint32_t units, std::int64_t mark) noexcept {
  if (sliding()) {
    log_->remove(units, time_point(duration(mark)));
  } else {
    schedule_.cancel(plan(), units, mark);
  }
}

void limiter_core::settle(std::uint64_t reserved, std::int64_t mark, std::uint64_t used,
                          time_point now) noexcept {
  const limiter_plan& p = plan();
  if (used < reserved) {
    if (sliding()) {
      log_->remove(reserved - used, time_point(duration(mark)));
    } else {
      schedule_.refund(p, reserved - used, now);
    }
  } else if (used > reserved) {
    if (sliding()) {
      log_->add(p, used - reserved, now);
    } else {
      schedule_.charge(p, used - reserved, now);
    }
  }
}

void limiter_core::hold_for(duration d, time_point now) noexcept {
  const duration heeded = std::min(d, plan().options.max_hint);
  if (heeded > duration::zero()) schedule_.hold(saturating_add(now, heeded));
}

void limiter_core::hint(std::uint64_t remaining, duration reset, time_point now) noexcept {
  const limiter_plan& p = plan();
  if (p.options.max_hint == duration::zero()) return;
  if (remaining == 0) {
    hold_for(reset, now);
  } else if (!sliding()) {
    schedule_.leave_at_most(p, remaining, now);
  } else if (const auto left = log_->available(p, now); left > remaining) {
    log_->add(p, left - remaining, now);
  }
}

void limiter_core::reconfigure(rate_limiter_options o, time_point now) {
  const std::lock_guard lock(mutex_);
  const limiter_plan& from = plan();
  o.name = name_;
  if (o.algorithm != from.options.algorithm) {
    option_faults faults;
    faults.add("algorithm", to_string(o.algorithm), "cannot be changed by a reconfiguration");
    faults.raise_if_any(where(o));
  }
  auto made = std::make_unique<limiter_plan>(std::move(o), from);
  // Of several reconfigurations in a row each may have made the schedule longer.
  const duration wait = sliding() ? duration::zero() : schedule_.next_free(from, now);
  make_room(*made, from, std::min(wait, limiter_plan::longest).count() * per_ns);
  const limiter_plan& to = *plans_.emplace_back(std::move(made));
  if (sliding()) log_->fit(to);
  plan_.store(&to, std::memory_order_release);
  if (!sliding()) schedule_.convert(from, to, now);
}

limiter_snapshot limiter_core::snapshot(time_point now) const {
  const limiter_plan& p = plan();
  const duration held = std::max(held_until() - now, duration::zero());
  limiter_snapshot s{};
  s.available = sliding() ? log_->available(p, now) : schedule_.available(p, now);
  if (held > duration::zero()) s.available = 0;
  s.waiting = waiting_.load(std::memory_order_relaxed);
  s.refused = refused();
  s.next_free = std::max(sliding() ? log_->next_free(p, now) : schedule_.next_free(p, now), held);
  s.held_for = held;
  return s;
}

void limiter_core::describe(std::string& out) const {
  const rate_limiter_options& o = plan().options;
  out += fmt::format("rate_limiter '{}': {} {} per {}", name_, o.permits,
                     o.weighted ? "permits" : "calls", format_duration(o.period));
  if (sliding()) {
    out += " in a sliding window";
  } else {
    out += fmt::format(", burst {}", o.burst);
  }
  if (o.max_wait == duration::zero() || o.max_waiting == 0) {
    out += ", no waiting";
  } else {
    out += fmt::format(", {} may wait for {}", o.max_waiting, format_duration(o.max_wait));
  }
  if (o.max_hint == duration::zero()) {
    out += ", hints ignored";
  } else {
    out += fmt::format(", hints up to {}", format_duration(o.max_hint));
  }
}

}  // namespace detail
}  // namespace holdfast
