// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <holdfast/detail/format.hpp>
#include <holdfast/detail/limit_controller.hpp>
#include <holdfast/detail/limit_core.hpp>
#include <holdfast/detail/option_faults.hpp>

namespace holdfast::detail {

namespace {

constexpr duration longest_window = std::chrono::minutes(1);
constexpr unsigned samples_aimed_at = 256;

adaptive_limit_options validated(adaptive_limit_options o) {
  option_faults faults;
  faults.at_least("min_limit", o.min_limit, 1);
  faults.between("max_limit", o.max_limit, std::max(o.min_limit, 1u), 1'000'000);
  faults.between("initial_limit", o.initial_limit, o.min_limit, std::max(o.min_limit, o.max_limit));
  faults.at_least("window", o.window, std::chrono::milliseconds(1));
  faults.between("min_samples", o.min_samples, 1, 100);
  if (!(o.quantile > 0.0 && o.quantile < 1.0)) {
    faults.add("quantile", fmt::format("{:g}", o.quantile), "must be more than 0 and less than 1");
  }
  faults.between("tolerance", o.tolerance, 1.0, 10.0);
  if (!(o.smoothing > 0.0 && o.smoothing <= 1.0)) {
    faults.add("smoothing", fmt::format("{:g}", o.smoothing), "must be more than 0 and at most 1");
  }
  faults.at_least("measure_idle_every", o.measure_idle_every, o.window);
  faults.between("backoff", o.backoff, 0.5, 0.99);
  faults.between("increase", o.increase, 1, 1000);
  faults.at_least("slow_after", o.slow_after, duration::zero());
  faults.raise_if_any(o.name.empty() ? "adaptive limit"
                                     : fmt::format("adaptive limit '{}'", o.name));
  o.measure_idle_every = std::min<duration>(o.measure_idle_every, std::chrono::days(365));
  return o;
}

}  // namespace

limit_core::limit_core(adaptive_limit_options options)
    : name_(options.name),
      limit_(options.initial_limit),
      options_(validated(std::move(options))),
      controller_(std::make_unique<limit_controller>(options_)) {}

limit_core::~limit_core() = default;

bool limit_core::add_answer(time_point began, time_point ended, unsigned in_flight) noexcept {
  const std::lock_guard lock(mutex_);
  if (!note_locked(began, ended, in_flight)) return false;
  if (count_ == capacity) thin_out_locked();
  samples_[count_++] = std::max(ended - began, duration::zero());
  return is_over_locked(ended);
}

bool limit_core::add_drop(time_point began, time_point ended, unsigned in_flight) noexcept {
  const std::lock_guard lock(mutex_);
  ++all_dropped_;
  if (!note_locked(began, ended, in_flight)) return false;
  ++dropped_;
  return is_over_locked(ended);
}

bool limit_core::look(time_point now) noexcept {
  const std::lock_guard lock(mutex_);
  if (ends_ == unset || now < ends_) return false;
  if (is_over_locked(now)) return true;
  // Traffic has become thinner than the share of timed calls was made for.
  share_.store(every_call, std::memory_order_relaxed);
  set_due_locked(never);
  return false;
}

/// Whether the call belongs to the window. While the idle latency is measured only calls do that
/// have seen nothing of the time before.
bool limit_core::note_locked(time_point began, time_point ended, unsigned in_flight) noexcept {
  if (began_ == unset) begin_window_locked(began == unset ? ended : began, options_.window);
  if (controller_->measuring() && began < began_) return false;
  peak_ = std::max(peak_, in_flight);
  return true;
}

bool limit_core::is_over_locked(time_point now) const noexcept {
  if (ends_ == unset || now < ends_) return false;
  return count_ + (controller_->measuring() ? 0 : dropped_) >= controller_->samples_wanted();
}

/// Makes room in a full window: every second sample goes, and from now on every second call is
/// timed.
void limit_core::thin_out_locked() noexcept {
  for (unsigned i = 0; i < capacity / 2; ++i) samples_[i] = samples_[2 * i];
  count_ = capacity / 2;
  share_.store(share_.load(std::memory_order_relaxed) / 2, std::memory_order_relaxed);
}

duration limit_core::quantile_locked() noexcept {
  if (count_ == 0) return duration::zero();
  const auto rank = static_cast<std::ptrdiff_t>(options_.quantile * static_cast<double>(count_));
  const auto wanted = samples_.begin() + rank;
  std::nth_element(samples_.begin(), wanted, samples_.begin() + count_);
  return *wanted;
}

void limit_core::close_window(time_point now, std::uint64_t random) {
  {
    const std::lock_guard lock(mutex_);
    if (!is_over_locked(now)) return;
    judge_locked(now, random);
    if (!listened_to_) return;
  }
  events_.deliver();
}

void limit_core::judge_locked(time_point now, std::uint64_t random) {
  const auto admitted = static_cast<std::uint32_t>(word_.load(std::memory_order_relaxed) >> 32);
  if (count_ > 0) latency_ = quantile_locked();
  const limit_window w{.latency = latency_,
                       .samples = count_,
                       .admitted = admitted - admitted_before_,
                       .dropped = dropped_,
                       .peak_in_flight = peak_,
                       .refused = refused() != refused_before_};
  controller_->on_window(w, now, random);
  const unsigned before = limit();
  limit_.store(controller_->limit(), std::memory_order_relaxed);
  ++windows_;
  if (listened_to_ && limit() != before) {
    events_.push([&] {
      return limit_change{name_, before, limit(), latency_, controller_->idle(),
                          controller_->measuring(), now};
    });
  }

  // A measurement decides over many windows: every call is worth timing.
  if (controller_->measuring()) {
    share_.store(every_call, std::memory_order_relaxed);
  } else {
    const double share = static_cast<double>(share_.load(std::memory_order_relaxed)) *
                         samples_aimed_at / std::max(count_, 1u);
    share_.store(share < every_call ? static_cast<std::uint32_t>(share) : every_call,
                 std::memory_order_relaxed);
  }
  begin_window_locked(now, std::clamp(3 * std::min(latency_, longest_window), options_.window,
                                      std::max(options_.window, longest_window)));
}

void limit_core::begin_window_locked(time_point now, duration length) noexcept {
  began_ = now;
  ends_ = saturating_add(now, length);
  set_due_locked(ends_);
  count_ = 0;
  peak_ = 0;
  dropped_ = 0;
  admitted_before_ = static_cast<std::uint32_t>(word_.load(std::memory_order_relaxed) >> 32);
  refused_before_ = refused();
}

void limit_core::reconfigure(adaptive_limit_options options) {
  options = validated(std::move(options));
  const std::lock_guard lock(mutex_);
  controller_->reconfigure(options);
  options.name = name_;
  options_ = std::move(options);
  limit_.store(controller_->limit(), std::memory_order_relaxed);
}

subscription limit_core::on_change(std::function<void(const limit_change&)> listener) {
  const std::lock_guard lock(mutex_);
  listened_to_ = true;
  return events_.subscribe(std::move(listener));
}

adaptive_limit_snapshot limit_core::snapshot() const {
  const std::lock_guard lock(mutex_);
  return {.limit = limit(),
          .in_flight = in_flight(),
          .measuring_idle = controller_->measuring(),
          .idle_latency = controller_->idle(),
          .latency = latency_,
          .windows = windows_,
          .idle_measurements = controller_->measurements(),
          .refused = refused(),
          .dropped = all_dropped_,
          .listener_errors = events_.errors()};
}

void limit_core::describe(std::string& out) const {
  const std::lock_guard lock(mutex_);
  const auto& o = options_;
  out += fmt::format("adaptive_limit '{}': {}, {} to {} at once from {}, judged every {} by "
                     "quantile {:g} of at least {} samples",
                     o.name, to_string(o.algorithm), o.min_limit, o.max_limit, o.initial_limit,
                     format_duration(o.window), o.quantile, o.min_samples);
  if (o.algorithm == limit_algorithm::aimd) {
    out += fmt::format(", plus {} or times {:g} where calls are dropped", o.increase, o.backoff);
    if (o.slow_after > duration::zero()) {
      out += fmt::format(" or slower than {}", format_duration(o.slow_after));
    }
    return;
  }
  if (o.algorithm == limit_algorithm::gradient) {
    out += fmt::format(", up to {:g} times the idle latency, {:g} % of a correction at once",
                       o.tolerance, o.smoothing * 100);
  }
  out += fmt::format(", idle latency measured every {}", format_duration(o.measure_idle_every));
}

}  // namespace holdfast::detail
