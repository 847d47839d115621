// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <algorithm>
#include <holdfast/detail/format.hpp>
#include <holdfast/detail/option_faults.hpp>
#include <holdfast/policy/bulkhead.hpp>

namespace holdfast {

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

// What a call finds.

admission bulkhead_core::acquire_or_enqueue(operation& op, unsigned weight, turn*& place,
                                            time_point now) {
  turn& wish = op.prepare_wait();  // may allocate: before anything is counted
  wish.since = now;
  wish.weight = weight;
  wish.rank = std::min(op.priority(), priority::background);
  wish.refused = false;
  resumption evicted;
  admission a{};
  {
    const std::lock_guard lock(mutex_);
    a = admit(wish, now, evicted);
    if (a == admission::queued) {
      op.wait_until = std::min(op.limit.at, saturating_add(now, longest_wait()));
      place = &wish;
    }
  }
  if (evicted) evicted.post();
  return a;
}

admission bulkhead_core::admit(turn& wish, time_point now, resumption& evicted) noexcept {
  if (closed_) return admission::closed;
  if (wish.weight > options_.limit) return admission::too_heavy;
  note_backlog(now);
  std::uint64_t seen = word_.load(std::memory_order_relaxed);
  bool has_place = false;  // left by another
  for (;;) {
    if (free_of(seen) >= none_free + wish.weight && (seen < waiting_one || comes_first(wish))) {
      if (word_.compare_exchange_weak(seen, seen - wish.weight, std::memory_order_acquire)) {
        return admission::granted;
      }
    } else if (!has_place && seen >= waiting_one * options_.queue) {
      turn* const victim = options_.queue == 0 ? nullptr : victim_for(wish);
      if (!victim) return admission::refused;
      const bool by_rank = options_.order == queue_order::priority;
      refuse_one(*victim, by_rank ? errc::shed : errc::bulkhead_full, evicted);
      has_place = true;
      seen = word_.load(std::memory_order_relaxed);
    } else if (word_.compare_exchange_weak(seen, seen + waiting_one, std::memory_order_relaxed)) {
      link(wish);
      return admission::queued;
    }
  }
}

void bulkhead_core::abandon(turn& w) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (w.queued) {
      unlink(w);
      word_.fetch_sub(waiting_one, std::memory_order_relaxed);
    }
  }
  if (w.wait.granted() && !w.refused) {
    release(w.weight);
  } else {
    serve();  // a heavy one may have kept lighter ones waiting
  }
}

// What the queue does.

void bulkhead_core::serve() noexcept {
  // One at a time, since nothing may be posted under the lock. Who comes in between finds the queue
  // occupied and takes a place in it.
  for (bool more = true; more;) {
    resumption resumed;
    {
      const std::lock_guard lock(mutex_);
      if (can_serve()) serve_one(resumed);
      more = can_serve();
    }
    if (resumed) resumed.post();
  }
}

bool bulkhead_core::can_serve() const noexcept {
  // Acquires: what the holders of the permits have done is seen by whoever is served.
  const std::uint64_t free = free_of(word_.load(std::memory_order_acquire));
  if (const turn* const w = next_turn()) return free >= none_free + w->weight;
  return drains_ && closed_ && free == none_free + options_.limit;
}

void bulkhead_core::serve_one(resumption& resumed) noexcept {
  if (turn* const w = next_turn()) {
    word_.fetch_sub(waiting_one + w->weight, std::memory_order_relaxed);
    unlink(*w);
    // Fails where the wait has ended otherwise; that operation has yet to leave the queue.
    if (!w->wait.grant(resumed)) word_.fetch_add(w->weight, std::memory_order_release);
  } else {
    drain_wait& d = *drains_;
    remove(d);
    d.wait.grant(resumed);
  }
}

void bulkhead_core::refuse_one(turn& w, errc code, resumption& resumed) noexcept {
  unlink(w);
  word_.fetch_sub(waiting_one, std::memory_order_relaxed);
  w.refused = true;
  w.code = code;
  w.wait.grant(resumed);
}

void bulkhead_core::refuse_all_above(unsigned weight, errc code) noexcept {
  for (bool found = true; found;) {
    resumption resumed;
    {
      const std::lock_guard lock(mutex_);
      found = false;
      for (const lane& l : lanes_) {
        for (turn* w = l.first; w && !found; w = w->next) {
          if (w->weight > weight) {
            refuse_one(*w, code, resumed);
            found = true;
            break;
          }
        }
      }
    }
    if (resumed) resumed.post();
  }
}

turn* bulkhead_core::next_turn() const noexcept {
  const bool newest =
      options_.order == queue_order::lifo || (options_.order == queue_order::codel && backlogged_);
  for (const lane& l : lanes_) {
    if (l.first) return newest ? l.last : l.first;
  }
  return nullptr;
}

bool bulkhead_core::comes_first(const turn& wish) const noexcept {
  switch (options_.order) {
    case queue_order::fifo: return false;
    case queue_order::lifo: return true;
    case queue_order::codel: return backlogged_;
    case queue_order::priority:
      return std::all_of(lanes_.begin(), lanes_.begin() + static_cast<int>(wish.rank) + 1,
                         [](const lane& l) { return !l.first; });
  }
  return false;
}

turn* bulkhead_core::victim_for(const turn& wish) const noexcept {
  switch (options_.order) {
    case queue_order::fifo: return nullptr;
    case queue_order::lifo: return lanes_.front().first;
    case queue_order::codel: return backlogged_ ? lanes_.front().first : nullptr;
    case queue_order::priority:
      for (std::size_t i = priority_count - 1; i > static_cast<std::size_t>(wish.rank); --i) {
        if (lanes_[i].last) return lanes_[i].last;
      }
      return nullptr;
  }
  return nullptr;
}

duration bulkhead_core::longest_wait() const noexcept {
  duration d = duration::max();
  if (options_.max_queue_time > duration::zero()) d = options_.max_queue_time;
  if (options_.order == queue_order::codel) {
    d = std::min(d, backlogged_ ? options_.codel_target : options_.codel_interval);
  }
  return d;
}

void bulkhead_core::note_backlog(time_point now) noexcept {
  if (word_.load(std::memory_order_relaxed) < waiting_one) {
    backlogged_since_ = now;
    backlogged_ = false;
  } else {
    backlogged_ = now - backlogged_since_ >= options_.codel_interval;
  }
}

bulkhead_core::lane& bulkhead_core::lane_of(const turn& w) noexcept {
  return lanes_[options_.order == queue_order::priority ? static_cast<std::size_t>(w.rank) : 0];
}

void bulkhead_core::link(turn& w) noexcept {
  lane& l = lane_of(w);
  w.queued = true;
  w.prev = l.last;
  w.next = nullptr;
  (l.last ? l.last->next : l.first) = &w;
  l.last = &w;
}

void bulkhead_core::unlink(turn& w) noexcept {
  lane& l = lane_of(w);
  (w.prev ? w.prev->next : l.first) = w.next;
  (w.next ? w.next->prev : l.last) = w.prev;
  w.queued = false;
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
    end = &w->next;
    w->next = nullptr;
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
    w.prev = nullptr;
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

// The layer.

using reason = bulkhead_core::refusal_reason;

void bulkhead_layer::frame::give_back() noexcept {
  if (place) {
    core->abandon(*place);
  } else {
    core->release(weight);
  }
}

step bulkhead_layer::enqueue(frame& f, operation& op, unsigned weight) const {
  admission a = core_->refuses_at_once(weight);
  if (a == admission::queued) {
    a = core_->acquire_or_enqueue(op, weight, f.place, op.time().precise_now());
  }
  switch (a) {
    case admission::refused: return refuse(op, errc::bulkhead_full, reason::full);
    case admission::too_heavy: return refuse(op, errc::too_heavy, reason::too_heavy);
    case admission::closed: return refuse(op, errc::shutting_down, reason::closed);
    case admission::granted:
    case admission::queued: break;
  }
  f.core = core_.get();
  f.weight = weight;
  return a == admission::granted ? step::go : step::wait;
}

step bulkhead_layer::resumed(frame& f, operation& op, wait_end end) const {
  turn& place = *std::exchange(f.place, nullptr);
  const duration waited = op.now() - place.since;
  op.queued += waited;
  if (end == wait_end::granted && !place.refused) {
    core_->count_queued(waited);
    return step::go;
  }
  f.core = nullptr;
  if (end == wait_end::granted) {
    return refuse(op, place.code,
                  place.code == errc::shutting_down ? reason::closed
                  : place.code == errc::too_heavy   ? reason::too_heavy
                                                    : reason::evicted);
  }
  core_->abandon(place);
  if (end == wait_end::cancelled) {
    op.refuse({.code = errc::cancelled});
    return step::refuse;
  }
  if (op.now() >= op.limit.at) {
    op.refuse({.code = op.limit.code, .policy = policy_kind::timeout});
    return step::refuse;
  }
  return refuse(op, errc::bulkhead_full, reason::expired);
}

step bulkhead_layer::refuse(operation& op, errc code, reason why) const {
  core_->count_refusal(why);
  op.refuse({.code = code, .policy = policy_kind::bulkhead, .policy_name = &core_->name()});
  return step::refuse;
}

}  // namespace detail
}  // namespace holdfast
