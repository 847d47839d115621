// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <algorithm>
#include <holdfast/detail/format.hpp>
#include <holdfast/detail/option_faults.hpp>
#include <holdfast/policy/chaos.hpp>

namespace holdfast {

chaos::chaos(options o)
    : core_(std::make_shared<detail::chaos_core>(std::move(o))) {}

std::string_view to_string(chaos_delay_kind k) noexcept {
  switch (k) {
    case chaos_delay_kind::constant: return "constant";
    case chaos_delay_kind::uniform: return "uniform";
    case chaos_delay_kind::exponential: return "exponential";
  }
  return "unknown";
}

namespace detail {

namespace {

bool delays(const chaos_rule& r) noexcept { return r.delay.base > duration::zero() ||
                                                   r.delay.kind == chaos_delay_kind::uniform; }

void check(option_faults& faults, const chaos_rule& r, const std::string& path) {
  const auto named = [&path](const char* member) { return fmt::format("{}.{}", path, member); };
  if (!(r.rate > 0.0 && r.rate <= 1.0)) {
    faults.add(named("rate"), fmt::format("{:g}", r.rate), "must be more than 0 and at most 1");
  }
  faults.at_least(named("first_attempt"), r.first_attempt, 1);
  faults.at_least(named("last_attempt"), r.last_attempt, r.first_attempt);
  faults.at_least(named("from"), r.from, duration::zero());
  if (r.until <= r.from) {
    faults.add(named("until"), format_duration(r.until),
               fmt::format("must be after from ({})", format_duration(r.from)));
  }
  faults.at_least(named("delay.base"), r.delay.base, duration::zero());
  if (r.delay.kind != chaos_delay_kind::constant) {
    faults.at_least(named("delay.cap"), r.delay.cap, std::max(r.delay.base, duration::zero()));
  }
  if (r.delay.kind == chaos_delay_kind::uniform && r.delay.cap == duration::max()) {
    faults.add(named("delay.cap"), format_duration(r.delay.cap), "a uniform delay needs a bound");
  }
  if (r.hang && (r.fault || delays(r))) {
    faults.add(named("hang"), "true", "excludes a delay and a fault");
  }
  if (!r.hang && !r.fault && !delays(r)) {
    faults.add(path, "{}", "does nothing: set delay, hang or fault");
  }
}

chaos_options validated(chaos_options o) {
  option_faults faults;
  for (std::size_t i = 0; i < o.rules.size(); ++i) {
    check(faults, o.rules[i], fmt::format("rules[{}]", i));
  }
  faults.raise_if_any(o.name.empty() ? "chaos" : fmt::format("chaos '{}'", o.name));
  return o;
}

void describe_delay(std::string& out, const chaos_delay& d) {
  switch (d.kind) {
    case chaos_delay_kind::uniform:
      out += fmt::format(" between {} and {}", format_duration(d.base), format_duration(d.cap));
      return;
    case chaos_delay_kind::exponential:
      out += fmt::format(" by {} on average", format_duration(d.base));
      if (d.cap != duration::max()) out += fmt::format(", at most {}", format_duration(d.cap));
      return;
    case chaos_delay_kind::constant: break;
  }
  out += fmt::format(" by {}", format_duration(d.base));
}

void describe_rule(std::string& out, const chaos_rule& r) {
  out += fmt::format("{:g} % of ", r.rate * 100);
  if (r.last_attempt == std::numeric_limits<std::uint64_t>::max()) {
    out += r.first_attempt == 1 ? "attempts" : fmt::format("attempts from {}", r.first_attempt);
  } else {
    out += fmt::format("attempts {} to {}", r.first_attempt, r.last_attempt);
  }
  if (r.from > duration::zero() || r.until != duration::max()) {
    out += fmt::format(" from {}", format_duration(r.from));
    if (r.until != duration::max()) out += fmt::format(" to {}", format_duration(r.until));
  }
  if (r.only_if) out += " that a predicate names";
  if (r.hang) out += " hang";
  if (delays(r)) {
    out += " are delayed";
    describe_delay(out, r.delay);
    if (r.fault) out += " and";
  }
  if (r.fault) out += fmt::format(" fail: {}", r.fault->message());
}

}  // namespace

chaos_core::chaos_core(chaos_options options)
    : name_(options.name),
      enabled_(options.enabled),
      plan_(std::make_shared<const chaos_options>(validated(std::move(options)))) {}

void chaos_core::enable() {
  const std::lock_guard lock(mutex_);
  if (enabled()) return;
  began_.reset();
  counts_ = {};
  enabled_.store(true, std::memory_order_relaxed);
}

void chaos_core::disable() noexcept {
  const std::lock_guard lock(mutex_);
  enabled_.store(false, std::memory_order_relaxed);
}

chaos_core::sentence chaos_core::next(time_point now, const call_context* context) {
  std::shared_ptr<const chaos_options> plan;
  std::uint64_t attempt = 0;
  duration elapsed{};
  {
    const std::lock_guard lock(mutex_);
    if (!enabled()) return {};
    if (!began_) began_ = now;
    plan = plan_;
    attempt = ++counts_.attempts;
    elapsed = std::max(now - *began_, duration::zero());
  }
  // Outside the lock: it may call the user's predicate.
  const chaos_choice choice = choose(*plan, attempt, elapsed, context);
  if (!choice.rule) return {};
  note(choice, *plan, attempt, now);
  return {std::shared_ptr<const chaos_rule>(std::move(plan), choice.rule), choice.delay};
}

void chaos_core::note(const chaos_choice& choice, const chaos_options& plan, std::uint64_t attempt,
                      time_point now) {
  const chaos_rule& rule = *choice.rule;
  {
    const std::lock_guard lock(mutex_);
    if (choice.delay > duration::zero()) ++counts_.delayed;
    if (rule.hang) ++counts_.hung;
    if (rule.fault) ++counts_.failed;
    if (!listened_to_) return;
    events_.push([&] {
      const auto number = static_cast<std::size_t>(&rule - plan.rules.data());
      return chaos_strike{name_, attempt, number, choice.delay, rule.hang, rule.fault.has_value(),
                          now};
    });
  }
  events_.deliver();
}

subscription chaos_core::on_strike(std::function<void(const chaos_strike&)> listener) {
  const std::lock_guard lock(mutex_);
  listened_to_ = true;
  return events_.subscribe(std::move(listener));
}

void chaos_core::reconfigure(chaos_options options) {
  options.name = name_;
  auto next = std::make_shared<const chaos_options>(validated(std::move(options)));
  const std::lock_guard lock(mutex_);
  plan_.swap(next);
}

std::shared_ptr<const chaos_options> chaos_core::plan() const {
  const std::lock_guard lock(mutex_);
  return plan_;
}

chaos_snapshot chaos_core::snapshot() const {
  const std::lock_guard lock(mutex_);
  chaos_snapshot s = counts_;
  s.enabled = enabled();
  s.listener_errors = events_.errors();
  return s;
}

void chaos_core::describe(std::string& out) const {
  const auto p = plan();
  out += fmt::format("chaos '{}': {}, seed {}", name_, enabled() ? "on" : "off", p->seed);
  for (const chaos_rule& r : p->rules) {
    out += "; ";
    describe_rule(out, r);
  }
}

}  // namespace detail
}  // namespace holdfast
