// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <holdfast/detail/format.hpp>
#include <holdfast/detail/option_faults.hpp>
#include <holdfast/policy/load_shedder.hpp>

namespace holdfast {

load_shedder::load_shedder(options o)
    : core_(std::make_shared<detail::load_shedder_core>(std::move(o))) {}

std::string_view to_string(overload_signal s) noexcept {
  switch (s) {
    case overload_signal::queue_time: return "queue_time";
    case overload_signal::latency: return "latency";
  }
  return "unknown";
}

namespace detail {

namespace {

std::string title(const std::string& name) {
  return name.empty() ? "load shedder" : fmt::format("load shedder '{}'", name);
}

void check_share(option_faults& faults, std::string_view option, double value) {
  if (!(value > 0.0 && value <= 1.0)) {
    faults.add(option, fmt::format("{}", value), "must be more than 0 and at most 1");
  }
}

void check_duration(option_faults& faults, std::string_view option, duration value, duration least,
                    duration most) {
  faults.at_least(option, value, least);
  if (value > most) {
    faults.add(option, format_duration(value),
               fmt::format("must be at most {}", format_duration(most)));
  }
}

}  // namespace

load_shedder_options load_shedder_core::validated(load_shedder_options o,
                                                  const std::string& name) {
  using namespace std::chrono_literals;
  option_faults faults;
  check_duration(faults, "threshold", o.threshold, 1us, highest_threshold);
  faults.at_least("window", o.window, 1ms);
  faults.between("window_calls", o.window_calls, 1, static_cast<double>(largest_window));
  check_share(faults, "decrease", o.decrease);
  check_share(faults, "increase", o.increase);
  faults.between("tenant_burst", o.tenant_burst, 1, 1000);
  faults.at_least("rotate_every", o.rotate_every, 1s);
  faults.raise_if_any(title(name));
  return o;
}

load_shedder_core::load_shedder_core(load_shedder_options options)
    : name_(options.name), options_(validated(std::move(options), name_)) {
  apply(options_);
}

void load_shedder_core::apply(const load_shedder_options& o) noexcept {
  signal_.store(o.signal, std::memory_order_relaxed);
  window_calls_.store(o.window_calls, std::memory_order_relaxed);
  capacity_.store(o.capacity, std::memory_order_relaxed);
  burst_.store(o.tenant_burst, std::memory_order_relaxed);
  window_.store(o.window.count(), std::memory_order_relaxed);
  threshold_.store(o.threshold.count(), std::memory_order_relaxed);
}

void load_shedder_core::reconfigure(load_shedder_options options) {
  load_shedder_options valid = validated(std::move(options), name_);
  valid.name = name_;
  const std::lock_guard lock(mutex_);
  if (valid.signal != options_.signal) samples_.store(0, std::memory_order_relaxed);
  options_ = std::move(valid);
  apply(options_);
}

void load_shedder_core::add_turned_away(time_point now) noexcept {
  // However many others are served quickly: one in ten turned away is overload by itself.
  add_sample(duration(threshold_.load(std::memory_order_relaxed)) * 10, now);
}

void load_shedder_core::count_shed(unsigned level, time_point now) noexcept {
  shed_[level / cohorts].fetch_add(1, std::memory_order_relaxed);
  if (now.time_since_epoch().count() >= window_ends_.load(std::memory_order_relaxed)) judge(now);
}

void load_shedder_core::judge(time_point now) noexcept {
  // Of several that see the window end, one judges; nobody waits for it.
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (lock) judge_locked(now);
}

void load_shedder_core::judge_locked(time_point now) noexcept {
  const std::int64_t ends = window_ends_.load(std::memory_order_relaxed);
  const std::uint64_t seen = samples_.load(std::memory_order_relaxed);
  const bool over = now.time_since_epoch().count() >= ends;
  if (!over && seen / one_sample < options_.window_calls) return;  // judged meanwhile
  window_ends_.store(saturating_add(now, options_.window).time_since_epoch().count(),
                     std::memory_order_relaxed);
  rotate(now);
  if (ends == 0) return;  // the first window begins
  samples_.fetch_sub(seen, std::memory_order_relaxed);
  const std::uint64_t count = seen / one_sample;
  const auto sum = static_cast<std::int64_t>((seen % one_sample) << 10);
  mean_ = count == 0 ? duration::zero() : duration(sum / static_cast<std::int64_t>(count));
  overloaded_ = count >= options_.minimum_calls && mean_ > options_.threshold;
  ++windows_;
  if (overloaded_) ++overloaded_windows_;
  move_cursor(overloaded_);
}

void load_shedder_core::move_cursor(bool overloaded) noexcept {
  std::array<std::uint32_t, levels> arrived;
  std::uint64_t all = 0;
  std::uint64_t admitted = 0;
  const unsigned cursor = cursor_.load(std::memory_order_relaxed);
  for (unsigned l = 0; l < levels; ++l) {
    arrived[l] = arrivals_[l].exchange(0, std::memory_order_relaxed);
    all += arrived[l];
    if (l < cursor) admitted += arrived[l];
  }
  unsigned moved = cursor;
  if (overloaded) {
    const double wanted = static_cast<double>(admitted) * (1.0 - options_.decrease);
    // What matters most is never shed here.
    while (moved > cohorts && static_cast<double>(admitted) > wanted) admitted -= arrived[--moved];
  } else {
    const double wanted =
        static_cast<double>(admitted) + static_cast<double>(all) * options_.increase;
    // At least one level that somebody asks for: a session that makes more calls than the step
    // would otherwise never be let in again.
    bool grown = false;
    while (moved < levels && (arrived[moved] == 0 || !grown ||
                              static_cast<double>(admitted + arrived[moved]) <= wanted)) {
      grown = grown || arrived[moved] != 0;
      admitted += arrived[moved++];
    }
  }
  admitted_ = all == 0 ? 1.0 : static_cast<double>(admitted) / static_cast<double>(all);
  cursor_.store(moved, std::memory_order_relaxed);
}

void load_shedder_core::rotate(time_point now) noexcept {
  // By the time itself, so that all shedders of a process agree about who goes first.
  const auto turn = static_cast<std::uint64_t>(now.time_since_epoch() / options_.rotate_every);
  salt_.store(mix_bits(turn), std::memory_order_relaxed);
}

load_shedder_options load_shedder_core::options() const {
  const std::lock_guard lock(mutex_);
  return options_;
}

load_shedder_snapshot load_shedder_core::snapshot() const noexcept {
  load_shedder_snapshot s{};
  {
    const std::lock_guard lock(mutex_);
    s.overloaded = overloaded_;
    s.mean = mean_;
    s.admitted = admitted_;
    s.windows = windows_;
    s.overloaded_windows = overloaded_windows_;
  }
  for (std::size_t i = 0; i < priority_count; ++i) {
    s.shed_by_priority[i] = shed_[i].load(std::memory_order_relaxed);
    s.shed += s.shed_by_priority[i];
  }
  s.shed_over_share = over_share_.load(std::memory_order_relaxed);
  s.shed += s.shed_over_share;
  s.in_flight = shares.total();
  return s;
}

void load_shedder_core::describe(std::string& out) const {
  const load_shedder_options o = options();
  out += fmt::format(
      "load_shedder '{}': overloaded at a mean {} above {} over {} or {} calls, of at least {}; "
      "then "
      "{:g} % fewer, else {:g} % more, by priority, order changed every {}",
      o.name, o.signal == overload_signal::queue_time ? "queue time" : "latency",
      format_duration(o.threshold), format_duration(o.window), o.window_calls, o.minimum_calls,
      o.decrease * 100, o.increase * 100, format_duration(o.rotate_every));
  if (o.capacity != 0) {
    out += fmt::format("; each tenant at most {} times what is left of {}", o.tenant_burst,
                       o.capacity);
  }
}

// The layer.

void load_shedder_layer::check_place(bool around_queue) const {
  if (around_queue || core_->signal() != overload_signal::queue_time) return;
  option_faults faults;
  faults.add("load_shedder.signal", "queue_time",
             "nothing inside it queues; put it around a bulkhead, or let it watch the latency");
  faults.raise_if_any("pipeline");
}

std::uint64_t load_shedder_layer::identity_of(operation& op) noexcept {
  if (const std::uint64_t session = op.session()) return session;
  const std::string_view tenant = op.tenant();
  return tenant.empty() ? op.random() : stable_hash(tenant);
}

bool load_shedder_layer::take_share(frame& f, operation& op) const noexcept {
  const std::string_view tenant = op.tenant();
  f.place = tenant.empty()
                ? core_->shares.take_for_nobody()
                : core_->shares.take(stable_hash(tenant), core_->capacity(), core_->burst());
  return f.place != tenant_shares::none;
}

void load_shedder_layer::judge_failure(const frame& f, operation& op, verdict v) const noexcept {
  const failure& why = *op.error;
  v = op.of_service(v);
  if (v == verdict::overloaded ||
      (why.policy() == policy_kind::bulkhead &&
       (why.code() == errc::bulkhead_full || why.code() == errc::shed))) {
    core_->add_turned_away(op.now());
  } else if (v != verdict::neutral) {
    core_->add_sample(sample_of(f, op), op.now());
  }
}

step load_shedder_layer::shed(frame& f, operation& op, unsigned level) const {
  core_->shares.give_back(std::exchange(f.place, tenant_shares::none));
  core_->count_shed(level, op.now());
  return refuse(op);
}

step load_shedder_layer::refuse_share(operation& op) const {
  core_->count_over_share();
  return refuse(op);
}

step load_shedder_layer::refuse(operation& op) const {
  op.refuse({.code = errc::shed,
             .policy = policy_kind::load_shedder,
             .policy_name = &core_->name(),
             .retry_after = core_->window()});
  return step::refuse;
}

}  // namespace detail
}  // namespace holdfast
