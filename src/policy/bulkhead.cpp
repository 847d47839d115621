// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <algorithm>
#include <holdfast/detail/format.hpp>
#include <holdfast/detail/option_faults.hpp>
#include <holdfast/policy/bulkhead.hpp>

namespace holdfast {

bulkhead::bulkhead(options o)
    : core_(std::make_shared<detail::bulkhead_core>(std::move(o))) {}

std::string_view to_string(queue_order o) noexcept {
  switch (o) {
    case queue_order::fifo: return "fifo";
    case queue_order::lifo: return "lifo";
    case queue_order::priority: return "priority";
    case queue_order::codel: return "codel";
  }
  return "unknown";
}

namespace detail {

namespace {

constexpr unsigned largest_limit = 1'000'000'000;

void check_count(option_faults& faults, std::string_view option, unsigned value) {
  if (value > largest_limit) {
    faults.add(option, fmt::format("{}", value), fmt::format("must be at most {}", largest_limit));
  }
}

std::string title(const std::string& name) {
  return name.empty() ? "bulkhead" : fmt::format("bulkhead '{}'", name);
}

bulkhead_options validated(bulkhead_options o, const std::string& name) {
  option_faults faults;
  faults.at_least("limit", o.limit, 1);
  check_count(faults, "limit", o.limit);
  check_count(faults, "queue", o.queue);
  faults.at_least("max_queue_time", o.max_queue_time, duration::zero());
  faults.at_least("codel_target", o.codel_target, duration(1));
  faults.at_least("codel_interval", o.codel_interval, o.codel_target);
  faults.raise_if_any(title(name));
  return o;
}

}  // namespace

bulkhead_core::bulkhead_core(bulkhead_options options)
    : name_(options.name),
      word_(none_free + options.limit),
      options_(validated(std::move(options), name_)) {
  limit_.store(options_.limit, std::memory_order_relaxed);
  update_surely_full();
}

// What the operator does.

void bulkhead_core::reconfigure(bulkhead_options options) {
  bulkhead_options valid = validated(std::move(options), name_);
  valid.name = name_;
  {
    const std::lock_guard lock(mutex_);
    apply_limit(valid.limit);
    apply_order(valid.order);
    options_ = std::move(valid);
    update_surely_full();
  }
  refuse_all_above(limit(), errc::too_heavy);
  serve();
}

void bulkhead_core::resize(unsigned limit) {
  bulkhead_options changed = options();
  changed.limit = limit;
  validated(std::move(changed), name_);
  {
    const std::lock_guard lock(mutex_);
    apply_limit(limit);
  }
  refuse_all_above(limit, errc::too_heavy);
  serve();
}

void bulkhead_core::apply_limit(unsigned limit) noexcept {
  // May wrap around as a number, and is right all the same: the low half stays far from its ends.
  word_.fetch_add(std::uint64_t{limit} - options_.limit, std::memory_order_relaxed);
  options_.limit = limit;
  limit_.store(limit, std::memory_order_relaxed);
}

void bulkhead_core::apply_order(queue_order order) noexcept {
  if (order == options_.order) return;
  // By age, so that nobody loses the place that the new order gives him.
  turn* all = nullptr;
  turn** end = &all;
  while (turn* const w = oldest()) {
    unlink(*w);
    *end = w;
    end = &w->next;  // the last one of all was the last of its lane: null
  }
  options_.order = order;
  while (all) {
    turn& w = *all;
    all = w.next;
    link(w);
  }
}

turn* bulkhead_core::oldest() const noexcept {
  turn* found = nullptr;
  for (const lane& l : lanes_) {
    if (l.first && (!found || l.first->since < found->since)) found = l.first;
  }
  return found;
}

void bulkhead_core::update_surely_full() noexcept {
  const bool may_evict = options_.order != queue_order::fifo && options_.queue != 0;
  surely_full_at_.store(may_evict ? largest_limit + 1 : options_.queue, std::memory_order_relaxed);
}

void bulkhead_core::close() noexcept {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    word_.fetch_or(closed_bit, std::memory_order_relaxed);
  }
  refuse_all_above(0, errc::shutting_down);
  serve();
}

void bulkhead_core::join(drain_wait& w) noexcept {
  {
    const std::lock_guard lock(mutex_);
    w.next = drains_;
    if (drains_) drains_->prev = &w;
    drains_ = &w;
    w.linked = true;
  }
  serve();
}

void bulkhead_core::leave(drain_wait& w) noexcept {
  const std::lock_guard lock(mutex_);
  if (w.linked) remove(w);
}

void bulkhead_core::remove(drain_wait& w) noexcept {
  (w.prev ? w.prev->next : drains_) = w.next;
  if (w.next) w.next->prev = w.prev;
  w.linked = false;
}

// What the operator sees.

bulkhead_options bulkhead_core::options() const {
  const std::lock_guard lock(mutex_);
  return options_;
}

unsigned bulkhead_core::in_use() const noexcept {
  const std::lock_guard lock(mutex_);  // against a change of the limit
  const auto free = free_of(word_.load(std::memory_order_relaxed));
  return static_cast<unsigned>(none_free + options_.limit - free);
}

std::uint64_t bulkhead_core::refused() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& n : refused_) sum += n.load(std::memory_order_relaxed);
  return sum;
}

bulkhead_snapshot bulkhead_core::snapshot() const noexcept {
  const auto count = [this](refusal_reason r) {
    return refused_[static_cast<std::size_t>(r)].load(std::memory_order_relaxed);
  };
  bulkhead_snapshot s{};
  {
    const std::lock_guard lock(mutex_);
    const std::uint64_t word = word_.load(std::memory_order_relaxed);
    s.limit = options_.limit;
    s.in_use = static_cast<unsigned>(none_free + options_.limit - free_of(word));
    s.waiting = static_cast<unsigned>((word & ~closed_bit) >> 32);
    s.closed = closed_;
    s.standing_queue = options_.order == queue_order::codel && backlogged_ && s.waiting > 0;
  }
  s.found_full = count(refusal_reason::full);
  s.expired = count(refusal_reason::expired);
  s.evicted = count(refusal_reason::evicted);
  s.too_heavy = count(refusal_reason::too_heavy);
  s.shut_out = count(refusal_reason::closed);
  s.refused = s.found_full + s.expired + s.evicted + s.too_heavy + s.shut_out;
  s.queued = queue_time_.count();
  s.queue_time_p50 = queue_time_.quantile(0.5);
  s.queue_time_p99 = queue_time_.quantile(0.99);
  s.queue_time_max = queue_time_.longest();
  return s;
}

void bulkhead_core::describe(std::string& out) const {
  const bulkhead_options o = options();
  out += fmt::format("bulkhead '{}': at most {} at once", o.name, o.limit);
  if (o.queue == 0) {
    out += ", no queue";
    return;
  }
  out += fmt::format(", {} may wait", o.queue);
  if (o.max_queue_time > duration::zero()) {
    out += fmt::format(" for {}", format_duration(o.max_queue_time));
  }
  switch (o.order) {
    case queue_order::fifo: break;
    case queue_order::lifo: out += ", newest first"; break;
    case queue_order::priority: out += ", by priority"; break;
    case queue_order::codel:
      out += fmt::format(", codel {} for {} in a standing queue", format_duration(o.codel_interval),
                         format_duration(o.codel_target));
      break;
  }
}

}  // namespace detail
}  // namespace holdfast
