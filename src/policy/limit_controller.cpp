// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <cmath>
#include <holdfast/detail/limit_controller.hpp>
#include <holdfast/detail/uniform.hpp>

namespace holdfast::detail {

namespace {

/// A measurement decides over many windows, so it wants more samples than one of them.
constexpr unsigned samples_of_a_measurement = 30;

/// After so many windows at half of what the limit was when the idle latency was measured, it is
/// more likely that the service itself became slower than that the queue is so long.
constexpr unsigned low_windows_before_measuring = 5;

/// What the limit is multiplied by for a measurement. Not by half: the queues that the algorithms
/// allow are so long that half the limit is about the capacity of the service, and then it is hard
/// to tell whether a queue is left.
constexpr double trial_part = 0.4;

duration scaled(duration d, double factor) noexcept {
  return duration(static_cast<duration::rep>(static_cast<double>(d.count()) * factor));
}

}  // namespace

limit_controller::limit_controller(const adaptive_limit_options& o)
    : rule_(make_limit_rule(o)),
      min_limit_(o.min_limit),
      max_limit_(o.max_limit),
      min_samples_(o.min_samples),
      measure_every_(o.measure_idle_every),
      limit_(o.initial_limit) {}

void limit_controller::reconfigure(const adaptive_limit_options& o) {
  rule_ = make_limit_rule(o);
  min_limit_ = o.min_limit;
  max_limit_ = o.max_limit;
  min_samples_ = o.min_samples;
  measure_every_ = o.measure_idle_every;
  limit_ = std::clamp(limit_, lower_bound(), static_cast<double>(max_limit_));
  trial_limit_ = std::clamp(trial_limit_, lower_bound(), static_cast<double>(max_limit_));
  if (!needs_idle()) measuring_ = false;
}

unsigned limit_controller::limit() const noexcept {
  return static_cast<unsigned>(measuring_ ? trial_limit_ : limit_);
}

unsigned limit_controller::samples_wanted() const noexcept {
  return measuring_ ? std::max(min_samples_, samples_of_a_measurement) : min_samples_;
}

bool limit_controller::needs_idle() const noexcept {
  return std::visit([](const auto& rule) { return rule.needs_idle; }, rule_);
}

void limit_controller::on_window(const limit_window& w, time_point now,
                                 std::uint64_t random) noexcept {
  if (measuring_) return step_measurement(w, now, random);
  const bool light = w.light(limit_);
  if (needs_idle() && w.samples > 0) {
    if (light) {
      follow(w);
      schedule(now, random);
    } else if (wants_measurement(w, now)) {
      return begin_measurement(w, now, random);
    } else if (w.latency < idle_) {
      follow(w);
    }
  }
  const double next = std::visit([&](const auto& r) { return r.next(limit_, w, idle_); }, rule_);
  // A limit that the calls do not use cannot have been tried, so it must not grow.
  if (next > limit_ && light) return;
  limit_ = std::clamp(next, lower_bound(), static_cast<double>(max_limit_));
}

bool limit_controller::wants_measurement(const limit_window& w, time_point now) noexcept {
  if (idle_ <= duration::zero()) return true;
  low_windows_ = limit_ <= limit_when_measured_ / 2.0 ? low_windows_ + 1 : 0;
  if (low_windows_ >= low_windows_before_measuring) return true;
  // Nobody is turned away, and nothing is slow: not worth halving the limit for.
  return now >= next_measurement_ && (w.refused || w.latency > scaled(idle_, 1.1));
}

void limit_controller::begin_measurement(const limit_window& w, time_point now,
                                         std::uint64_t random) noexcept {
  low_windows_ = 0;
  loaded_limit_ = limit_;
  loaded_latency_ = w.latency;
  trial_limit_ = std::max(lower_bound(), std::floor(limit_ * trial_part));
  if (trial_limit_ >=
      std::floor(limit_)) {  // no lower limit is allowed: this is as idle as it gets
    adopt(w.latency);
    return end_measurement(now, random);
  }
  measuring_ = true;
}

void limit_controller::step_measurement(const limit_window& w, time_point now,
                                        std::uint64_t random) noexcept {
  if (w.samples == 0) return end_measurement(now, random);
  // Little's law: a service that is still saturated turns fewer calls in flight into latencies as
  // much lower; one that is not has nothing left to give.
  const double expected_if_saturated = trial_limit_ / loaded_limit_;
  const double ratio = static_cast<double>(w.latency.count()) /
                       static_cast<double>(std::max(loaded_latency_, duration(1)).count());
  const double lower = std::max(lower_bound(), std::floor(trial_limit_ * trial_part));
  if (ratio <= 1.1 * expected_if_saturated && lower < trial_limit_ && !w.light(trial_limit_)) {
    loaded_limit_ = trial_limit_;
    loaded_latency_ = w.latency;
    trial_limit_ = lower;
    return;
  }
  // The limit before this trial was too high if its latency was: no need to go back up to it.
  // The bounds may have moved since.
  if (ratio < 0.7) {
    limit_ = std::clamp(loaded_limit_, lower_bound(), static_cast<double>(max_limit_));
  }
  adopt(w.latency);
  end_measurement(now, random);
}

void limit_controller::end_measurement(time_point now, std::uint64_t random) noexcept {
  measuring_ = false;
  limit_when_measured_ = limit_;
  ++measurements_;
  schedule(now, random);
}

void limit_controller::adopt(duration measured) noexcept {
  // What differs little is the noise of a few samples; what differs much is another service.
  const double change = idle_ <= duration::zero()
                            ? 1.0
                            : std::abs(static_cast<double>((measured - idle_).count())) /
                                  static_cast<double>(idle_.count());
  agreeing_ = change > 0.4 ? 1 : agreeing_ + 1;
  idle_ += scaled(measured - idle_, std::max(0.2, 1.0 / agreeing_));
  idle_ = std::max(idle_, duration(1));
}

void limit_controller::follow(const limit_window& w) noexcept {
  if (idle_ <= duration::zero()) return adopt(w.latency);
  const double weight = 0.2 * std::min(1.0, static_cast<double>(w.samples) / 50.0);
  idle_ += scaled(w.latency - idle_, weight);
}

void limit_controller::schedule(time_point now, std::uint64_t random) noexcept {
  const duration half = measure_every_ / 2;
  next_measurement_ = saturating_add(now, half + uniform(duration::zero(), measure_every_, random));
}

}  // namespace holdfast::detail
