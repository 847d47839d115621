// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <algorithm>
#include <holdfast/detail/format.hpp>
#include <holdfast/detail/option_faults.hpp>
#include <holdfast/policy/throttle.hpp>
#include <limits>

namespace holdfast {

throttle::throttle(options o)
    : core_(std::make_shared<detail::throttle_core>(std::move(o))) {}

}  // namespace holdfast

namespace holdfast::detail {

namespace {

void validate(const throttle_options& o, std::string_view name) {
  option_faults faults;
  faults.between("multiplier", o.multiplier, 1.0, 1000.0);
  faults.at_least("window", o.window, std::chrono::milliseconds(1));
  faults.between("min_per_second", o.min_per_second, 0.0, 1e9);
  faults.between("max_rejection", o.max_rejection, 0.0, 1.0);
  faults.raise_if_any(name.empty() ? "throttle" : fmt::format("throttle '{}'", name));
}

throttle_options validated(throttle_options o) {
  validate(o, o.name);
  return o;
}

/// Counted since; the late answers of calls that have left the window may outnumber the rest.
double since(std::uint64_t total, std::uint64_t before) noexcept {
  return static_cast<double>(static_cast<std::int64_t>(total - before));
}

}  // namespace

throttle_core::throttle_core(throttle_options options)
    : next_period_(std::numeric_limits<time_point::rep>::min()),
      name_(options.name),
      options_(validated(std::move(options))),
      samples_(options_.window) {
  apply_locked();
}

void throttle_core::apply_locked() noexcept {
  const double seconds = std::chrono::duration<double>(options_.window).count();
  multiplier_.store(options_.multiplier, std::memory_order_relaxed);
  min_requests_.store(options_.min_per_second * seconds, std::memory_order_relaxed);
  max_rejection_.store(options_.max_rejection, std::memory_order_relaxed);
}

void throttle_core::begin_period(time_point now) noexcept {
  // Who finds somebody else at it need not wait: its call counts in the old period or in the new.
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (lock) advance_locked(now);
}

void throttle_core::advance_locked(time_point now) const noexcept {
  if (now < samples_.next()) return;
  samples_.advance(now, counts_.sum());
  publish_locked();
}

void throttle_core::publish_locked() const noexcept {
  const auto& before = samples_.within();
  requests_before_.store(before[request], std::memory_order_relaxed);
  accepts_before_.store(before[accept], std::memory_order_relaxed);
  unsaid_before_.store(before[unsaid], std::memory_order_relaxed);
  next_period_.store(samples_.next().time_since_epoch().count(), std::memory_order_relaxed);
}

throttle_core::in_window throttle_core::count() const noexcept {
  const auto totals = counts_.sum();
  const double wishes = since(totals[request], requests_before_.load(std::memory_order_relaxed)) -
                        since(totals[unsaid], unsaid_before_.load(std::memory_order_relaxed));
  const double accepts = since(totals[accept], accepts_before_.load(std::memory_order_relaxed));
  return {std::max(wishes, 0.0), std::max(accepts, 0.0)};
}

double throttle_core::rejection() const noexcept {
  const in_window c = count();
  if (c.requests < min_requests_.load(std::memory_order_relaxed)) return 0.0;
  const double excess = c.requests - multiplier_.load(std::memory_order_relaxed) * c.accepts;
  return std::clamp(excess / (c.requests + 1.0), 0.0,
                    max_rejection_.load(std::memory_order_relaxed));
}

bool throttle_core::is_spared(double share, std::uint64_t random) noexcept {
  // 53 bits are a double without rounding: uniform in [0, 1).
  if (static_cast<double>(random >> 11) * 0x1p-53 >= share) return true;
  rejected_.fetch_add(1, std::memory_order_relaxed);
  return false;
}

/// Computes the share, and notes whether calls have to.
double throttle_core::judge() noexcept {
  const double share = rejection();
  if ((share > 0.0) != throttling_.load(std::memory_order_relaxed)) {
    throttling_.store(share > 0.0, std::memory_order_relaxed);
  }
  return share;
}

void throttle_core::reconfigure(throttle_options options, time_point now) {
  validate(options, name_);
  options.name = name_;
  {
    const std::lock_guard lock(mutex_);
    advance_locked(now);
    const duration window = options.window;
    if (window != options_.window) {
      const auto& known = samples_;
      samples_ = known.resized(window, now, [&](time_point t) { return known.at_or_before(t); });
      publish_locked();
    }
    options_ = std::move(options);
    apply_locked();
  }
  judge();
}

throttle_options throttle_core::options() const {
  const std::lock_guard lock(mutex_);
  return options_;
}

throttle_snapshot throttle_core::snapshot(time_point now) const {
  {
    const std::lock_guard lock(mutex_);
    advance_locked(now);
  }
  const in_window c = count();
  return {.requests = static_cast<std::uint64_t>(c.requests),
          .accepts = static_cast<std::uint64_t>(c.accepts),
          .rejection = rejection(),
          .rejected = rejected()};
}

void throttle_core::describe(std::string& out) const {
  const throttle_options o = options();
  out += fmt::format("throttle '{}': at most {:g} calls for each accepted within {}", name_,
                     o.multiplier, format_duration(o.window));
  if (o.min_per_second > 0.0) out += fmt::format(", from {:g} per second", o.min_per_second);
  out += fmt::format(", turns away up to {:g} %", o.max_rejection * 100);
}

step throttle_layer::refuse(operation& op) const {
  op.refuse({.code = errc::shed, .policy = policy_kind::throttle, .policy_name = &core_->name()});
  return step::refuse;
}

}  // namespace holdfast::detail
