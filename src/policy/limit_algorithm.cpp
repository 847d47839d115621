// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <cmath>
#include <holdfast/detail/limit_algorithm.hpp>

namespace holdfast {

std::string_view to_string(limit_algorithm a) noexcept {
  switch (a) {
    case limit_algorithm::gradient: return "gradient";
    case limit_algorithm::vegas: return "vegas";
    case limit_algorithm::aimd: return "aimd";
  }
  return "unknown";
}

namespace detail {

namespace {

double in_seconds(duration d) noexcept { return std::chrono::duration<double>(d).count(); }

/// The part of the latency that is not queueing, between 0 and 1.
double idle_part(duration idle, duration latency) noexcept {
  if (latency <= idle || latency <= duration::zero()) return 1.0;
  return in_seconds(idle) / in_seconds(latency);
}

}  // namespace

double gradient_limit::next(double limit, const limit_window& w, duration idle) const noexcept {
  const double share = w.drop_share();
  if (w.samples == 0 || idle <= duration::zero()) return after_drops(limit, share);
  double gradient = std::max(0.5, tolerance * idle_part(idle, w.latency));
  if (share > 0.0) gradient = std::min(1.0, gradient);
  const double wanted = gradient * limit + std::sqrt(limit);
  return after_drops(limit + smoothing * (wanted - limit), share);
}

double vegas_limit::next(double limit, const limit_window& w, duration idle) const noexcept {
  const double share = w.drop_share();
  if (w.samples == 0 || idle <= duration::zero()) return after_drops(limit, share);
  const double wanted = by_queue(limit, w, idle);
  return share > 0.0 ? after_drops(std::min(wanted, limit + 1.0), share) : wanted;
}

double vegas_limit::by_queue(double limit, const limit_window& w, duration idle) noexcept {
  const double queue = limit * (1.0 - idle_part(idle, w.latency));
  const double step = std::max(1.0, std::log10(limit));
  const double longest = 6.0 * step;
  if (queue <= step) return limit + 3.0 * step;
  if (queue < 3.0 * step) return limit + step;
  if (queue <= longest) return limit;
  return limit - std::max(step, (queue - longest) / 2.0);
}

double aimd_limit::next(double limit, const limit_window& w, duration) const noexcept {
  const bool slow = slow_after > duration::zero() && w.samples > 0 && w.latency > slow_after;
  if (slow || w.drop_share() > 0.0) return limit * backoff;
  return w.samples > 0 ? limit + increase : limit;
}

limit_rule make_limit_rule(const adaptive_limit_options& o) {
  switch (o.algorithm) {
    case limit_algorithm::vegas: return vegas_limit{};
    case limit_algorithm::aimd:
      return aimd_limit{o.backoff, static_cast<double>(o.increase), o.slow_after};
    case limit_algorithm::gradient: break;
  }
  return gradient_limit{o.tolerance, o.smoothing};
}

}  // namespace detail
}  // namespace holdfast
