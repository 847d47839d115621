// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <holdfast/detail/bulkhead_core.hpp>

namespace holdfast::detail {

// What a call finds.

admission bulkhead_core::acquire_or_enqueue(turn& wish, time_point now) {
  wish.since = now;
  wish.refused = false;
  resumption evicted;
  admission a{};
  {
    const std::lock_guard lock(mutex_);
    a = admit(wish, now, evicted);
    if (a == admission::queued) {
      wish.until = std::min(wish.until, saturating_add(now, longest_wait()));
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
    // Fails where the wait has ended otherwise; that operation has yet to leave the queue. Relaxed:
    // nobody has done anything with the permit.
    if (!w->wait.grant(resumed)) word_.fetch_add(w->weight, std::memory_order_relaxed);
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

}  // namespace holdfast::detail
