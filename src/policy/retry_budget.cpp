// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <holdfast/detail/format.hpp>
#include <holdfast/detail/option_faults.hpp>
#include <holdfast/policy/retry_budget.hpp>
#include <limits>
#include <utility>

namespace holdfast {

retry_budget::retry_budget(options o)
    : core_(std::make_shared<detail::retry_budget_core>(std::move(o))) {}

std::string_view to_string(budget_mode m) noexcept {
  switch (m) {
    case budget_mode::ratio: return "ratio";
    case budget_mode::tokens: return "tokens";
  }
  return "unknown";
}

namespace detail {

namespace {

void validate(const retry_budget_options& o, std::string_view name) {
  option_faults faults;
  faults.between("ratio", o.ratio, 0.0, 1000.0);
  faults.at_least("ttl", o.ttl, std::chrono::milliseconds(1));
  faults.between("min_per_second", o.min_per_second, 0.0, 1e6);
  faults.between("max_tokens", o.max_tokens, 1, 1e9);
  faults.between("token_ratio", o.token_ratio, 0.0, 1000.0);
  faults.raise_if_any(name.empty() ? "retry budget" : fmt::format("retry budget '{}'", name));
}

retry_budget_options validated(retry_budget_options o) {
  validate(o, o.name);
  return o;
}

constexpr std::int64_t plenty = 4'000'000'000'000'000'000;  // twice this can be counted

std::int64_t in_millionths(double x) {
  return std::llround(std::min(x * 1e6, static_cast<double>(plenty)));
}

constexpr time_point::rep the_end = std::numeric_limits<time_point::rep>::max();

}  // namespace

retry_budget_core::retry_budget_core(retry_budget_options options)
    : next_period_(std::numeric_limits<time_point::rep>::min()),
      mode_(options.mode),
      name_(options.name),
      options_(validated(std::move(options))),
      samples_(options_.ttl) {
  apply();
  tokens_.store(max_tokens_.load(std::memory_order_relaxed), std::memory_order_relaxed);
}

/// Puts the options into the form in which they are used.
void retry_budget_core::apply() noexcept {
  const bool tokens = options_.mode == budget_mode::tokens;
  per_call_ = in_millionths(options_.ratio);
  const double seconds = std::chrono::duration<double>(options_.ttl).count();
  floor_ = in_millionths(options_.min_per_second * seconds) / one * one;
  max_tokens_.store(tokens ? std::int64_t{options_.max_tokens} * one : 0,
                    std::memory_order_relaxed);
  refill_.store(in_millionths(options_.token_ratio), std::memory_order_relaxed);
  mode_.store(options_.mode, std::memory_order_relaxed);
  if (tokens) next_period_.store(the_end, std::memory_order_relaxed);
}

void retry_budget_core::begin_period(time_point now) noexcept {
  // Who finds somebody else at it need not wait: its call counts in the old period or in the new.
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (lock && options_.mode == budget_mode::ratio) advance(now);
}

void retry_budget_core::advance(time_point now) const noexcept {
  if (now < samples_.next()) return;
  calls_seen_ = calls_.sum()[0];
  samples_.advance(now, {calls_seen_, drawn_});
  next_period_.store(samples_.next().time_since_epoch().count(), std::memory_order_relaxed);
}

/// What is left if `calls` is the sum of all calls ever made.
std::int64_t retry_budget_core::balance(std::uint64_t calls) const noexcept {
  const std::uint64_t paying = calls - samples_.within().calls;
  const std::uint64_t drawn = drawn_ - samples_.beyond().drawn;
  // Exact as long as it matters; a fantastic number of calls must only not overflow.
  const double roughly = static_cast<double>(paying) * static_cast<double>(per_call_);
  const std::int64_t paid = roughly < static_cast<double>(plenty)
                                ? static_cast<std::int64_t>(paying) * per_call_
                                : plenty;
  return paid + floor_ - static_cast<std::int64_t>(drawn) * one;
}

bool retry_budget_core::try_reserve(time_point now) {
  const bool granted = mode_.load(std::memory_order_relaxed) == budget_mode::tokens
                           ? try_take_token()
                           : try_draw(now);
  (granted ? granted_ : exhausted_).fetch_add(1, std::memory_order_relaxed);
  return granted;
}

bool retry_budget_core::try_draw(time_point now) {
  const std::lock_guard lock(mutex_);
  advance(now);
  // The stripes are read only where the calls seen so far do not pay for it.
  if (balance(calls_seen_) < one) {
    calls_seen_ = calls_.sum()[0];
    if (balance(calls_seen_) < one) return false;
  }
  ++drawn_;
  return true;
}

bool retry_budget_core::try_take_token() noexcept {
  std::int64_t seen = tokens_.load(std::memory_order_relaxed);
  do {
    if (seen - one <= max_tokens_.load(std::memory_order_relaxed) / 2) return false;
  } while (!tokens_.compare_exchange_weak(seen, seen - one, std::memory_order_relaxed));
  return true;
}

void retry_budget_core::on_failure() noexcept {
  if (mode_.load(std::memory_order_relaxed) != budget_mode::tokens) return;
  std::int64_t seen = tokens_.load(std::memory_order_relaxed);
  while (seen > 0 && !tokens_.compare_exchange_weak(seen, std::max(seen - one, std::int64_t{0}),
                                                    std::memory_order_relaxed)) {
  }
}

void retry_budget_core::give_back(std::int64_t part) noexcept {
  std::int64_t seen = tokens_.load(std::memory_order_relaxed);
  std::int64_t most;
  do {
    most = max_tokens_.load(std::memory_order_relaxed);
    if (seen >= most) return;
  } while (!tokens_.compare_exchange_weak(seen, std::min(seen + part, most),
                                          std::memory_order_relaxed));
}

void retry_budget_core::release(time_point reserved_at, time_point now) {
  if (mode_.load(std::memory_order_relaxed) == budget_mode::tokens) {
    give_back(one);
  } else {
    const std::lock_guard lock(mutex_);
    advance(now);
    if (!samples_.covers(reserved_at) || drawn_ == samples_.beyond().drawn) return;  // forgotten
    samples_.change_after(reserved_at, [](totals& t) { --t.drawn; });
    --drawn_;
  }
  released_.fetch_add(1, std::memory_order_relaxed);
}

void retry_budget_core::reconfigure(retry_budget_options options, time_point now) {
  validate(options, name_);
  options.name = name_;
  const std::lock_guard lock(mutex_);
  const retry_budget_options old = std::exchange(options_, std::move(options));
  if (options_.mode == budget_mode::ratio) {
    const totals current{calls_.sum()[0], drawn_};
    if (old.mode == budget_mode::ratio) {
      advance(now);
      // Whatever the coarser of the two grids cannot tell is decided for the safe side.
      const auto& known = samples_;
      samples_ = known.resized(options_.ttl, now, [&](time_point t) {
        return totals{known.at_or_after(t, current).calls, known.at_or_before(t).drawn};
      });
    } else {
      samples_ = window_samples<totals>(options_.ttl);
      samples_.advance(now, current);
    }
    calls_seen_ = current.calls;
    next_period_.store(samples_.next().time_since_epoch().count(), std::memory_order_relaxed);
  }
  const std::int64_t old_max = max_tokens_.load(std::memory_order_relaxed);
  apply();
  const std::int64_t new_max = max_tokens_.load(std::memory_order_relaxed);
  // As many are missing as before. Between the two a call may have seen the new maximum already.
  const auto moved = [&](std::int64_t tokens) {
    return std::clamp(new_max - (old_max - tokens), std::int64_t{0}, new_max);
  };
  std::int64_t seen = tokens_.load(std::memory_order_relaxed);
  while (!tokens_.compare_exchange_weak(seen, moved(seen), std::memory_order_relaxed)) {
  }
}

retry_budget_options retry_budget_core::options() const {
  const std::lock_guard lock(mutex_);
  return options_;
}

retry_budget_snapshot retry_budget_core::snapshot(time_point now) const {
  retry_budget_snapshot s{};
  {
    const std::lock_guard lock(mutex_);
    s.mode = options_.mode;
    if (s.mode == budget_mode::ratio) {
      advance(now);
      calls_seen_ = calls_.sum()[0];
      s.calls_in_window = calls_seen_ - samples_.within().calls;
      s.reserved_in_window = drawn_ - samples_.beyond().drawn;
      s.available = static_cast<std::uint64_t>(
          std::max(balance(calls_seen_), std::int64_t{0}) / one);
    } else {
      const std::int64_t left = tokens_.load(std::memory_order_relaxed);
      const std::int64_t spare = left - max_tokens_.load(std::memory_order_relaxed) / 2;
      s.tokens = static_cast<double>(left) / static_cast<double>(one);
      s.available = static_cast<std::uint64_t>(std::max(spare - 1, std::int64_t{0}) / one);
    }
  }
  s.granted = granted_.load(std::memory_order_relaxed);
  s.released = released_.load(std::memory_order_relaxed);
  s.exhausted = exhausted_.load(std::memory_order_relaxed);
  return s;
}

void retry_budget_core::describe(std::string& out) const {
  const retry_budget_options o = options();
  out += fmt::format("retry_budget '{}': ", name_);
  if (o.mode == budget_mode::ratio) {
    out += fmt::format("{:g} % of the calls and {:g} per second, within {}", o.ratio * 100,
                       o.min_per_second, format_duration(o.ttl));
  } else {
    out += fmt::format("{} tokens, {:g} back for a success, retries above half", o.max_tokens,
                       o.token_ratio);
  }
}

}  // namespace detail
}  // namespace holdfast
