// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <algorithm>
#include <holdfast/detail/budget_use.hpp>
#include <holdfast/detail/format.hpp>
#include <holdfast/detail/hedge_core.hpp>
#include <holdfast/detail/option_faults.hpp>

namespace holdfast {

hedge::hedge(options o) : core_(std::make_shared<detail::hedge_core>(std::move(o))) {}
std::string_view hedge::name() const noexcept { return core_->name(); }
hedge_snapshot hedge::snapshot(time_point now) const { return core_->snapshot(now); }
const std::optional<retry_budget>& hedge::budget() const noexcept { return core_->budget(); }
void hedge::reconfigure(options o) { core_->reconfigure(std::move(o)); }

namespace detail {

namespace {

hedge_options validated(hedge_options o) {
  option_faults faults;
  faults.at_least("delay", o.delay, duration::zero());
  faults.between("percentile", o.percentile, 0.0, 0.9999);
  faults.at_least("window", o.window, duration(2));
  faults.at_least("minimum_samples", o.minimum_samples, 1);
  faults.at_least("minimum_delay", o.minimum_delay, duration::zero());
  faults.between("max_hedges", o.max_hedges, 1, 4);
  faults.raise_if_any(o.name.empty() ? "hedge" : fmt::format("hedge '{}'", o.name));
  return o;
}

}  // namespace

hedge_core::rules::rules(hedge_options o)
    : options(validated(std::move(o))), live_delay(options.delay.count()) {
  if (options.percentile > 0.0) latencies = std::make_shared<latency_tracker>(options.window);
}

hedge_core::hedge_core(hedge_options o)
    : name_(o.name), budget_(o.budget), rules_(std::make_shared<rules>(std::move(o))) {}

std::shared_ptr<hedge_core::rules> hedge_core::current() const {
  const std::lock_guard lock(mutex_);
  return rules_;
}

void hedge_core::reconfigure(hedge_options o) {
  auto next = std::make_shared<rules>(std::move(o));
  const std::lock_guard lock(mutex_);
  if (next->latencies && rules_->latencies && next->options.window == rules_->options.window) {
    next->latencies = rules_->latencies;
  }
  rules_ = std::move(next);
}

duration hedge_core::delay(rules& r, time_point now) {
  const auto& o = r.options;
  if (!r.latencies) return o.delay;
  // The histogram is read every hundredth of its window at most; one thread's answer serves all.
  const auto t = now.time_since_epoch().count();
  auto until = r.good_until.load(std::memory_order_relaxed);
  if (t >= until && r.good_until.compare_exchange_strong(until, t + o.window.count() / 100)) {
    const auto live = r.latencies->quantile(o.percentile, o.minimum_samples, now);
    r.live_delay.store((live ? std::max(*live, o.minimum_delay) : o.delay).count(),
                       std::memory_order_relaxed);
  }
  return duration(r.live_delay.load(std::memory_order_relaxed));
}

hedge_snapshot hedge_core::snapshot(time_point now) const {
  const auto r = current();
  return {.operations = operations_.load(std::memory_order_relaxed),
          .hedges = hedges_.load(std::memory_order_relaxed),
          .hedges_won = won_.load(std::memory_order_relaxed),
          .suppressed = suppressed_.load(std::memory_order_relaxed),
          .delay = delay(*r, now)};
}

void hedge_core::describe(std::string& out) const {
  const auto r = current();
  const auto& o = r->options;
  out += o.name.empty() ? std::string("hedge:") : fmt::format("hedge '{}':", o.name);
  out += fmt::format(" {} more after {}", o.max_hedges, format_duration(o.delay));
  if (o.percentile > 0.0) {
    out +=
        fmt::format(", or after the {:g}th percentile of {} once {} calls are known, at least {}",
                    o.percentile * 100, format_duration(o.window), o.minimum_samples,
                    format_duration(o.minimum_delay));
  }
  out += o.hedge_non_idempotent ? ", also of calls that are not idempotent" : "";
  budget_use(budget_).describe(out);
}

void describe_hedge(const hedge_core& core, std::string& out) { core.describe(out); }
double hedge_amplification(const hedge_core& core) {
  return 1.0 + core.current()->options.max_hedges;
}

}  // namespace detail
}  // namespace holdfast
