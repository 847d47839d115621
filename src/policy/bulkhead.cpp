// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <algorithm>
#include <holdfast/detail/format.hpp>
#include <holdfast/detail/option_faults.hpp>
#include <holdfast/policy/bulkhead.hpp>

namespace holdfast::detail {

namespace {

bulkhead_options validated(bulkhead_options o) {
  option_faults faults;
  faults.at_least("limit", o.limit, 1);
  faults.at_least("max_queue_time", o.max_queue_time, duration::zero());
  faults.raise_if_any(o.name.empty() ? "bulkhead" : fmt::format("bulkhead '{}'", o.name));
  return o;
}

}  // namespace

bulkhead_core::bulkhead_core(bulkhead_options options)
    : options_(validated(std::move(options))), limit_word_(options_.limit) {}

void bulkhead_core::hand_over() noexcept {
  resumption resumed;
  {
    const std::lock_guard lock(mutex_);
    bool taken = false;
    while (first_ && !taken) {
      turn& w = *first_;
      unlink(w);
      word_.fetch_sub(waiting_one, std::memory_order_relaxed);
      // Fails where the wait has ended otherwise; that operation has yet to leave the queue.
      taken = w.wait.grant(resumed);
    }
    if (!taken) word_.fetch_sub(1, std::memory_order_release);
  }
  if (resumed) resumed.post();
}

void bulkhead_core::abandon(turn& w) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (w.queued) {
      unlink(w);
      word_.fetch_sub(waiting_one, std::memory_order_relaxed);
    }
  }
  if (w.wait.granted()) release();
}

void bulkhead_core::link(turn& w) noexcept {
  w.queued = true;
  w.prev = last_;
  w.next = nullptr;
  (last_ ? last_->next : first_) = &w;
  last_ = &w;
}

void bulkhead_core::unlink(turn& w) noexcept {
  (w.prev ? w.prev->next : first_) = w.next;
  (w.next ? w.next->prev : last_) = w.prev;
  w.queued = false;
}

void bulkhead_core::describe(std::string& out) const {
  out += fmt::format("bulkhead '{}': at most {} at once", options_.name, options_.limit);
  if (options_.queue == 0) {
    out += ", no queue";
  } else {
    out += fmt::format(", {} may wait", options_.queue);
    if (options_.max_queue_time > duration::zero()) {
      out += fmt::format(" for {}", format_duration(options_.max_queue_time));
    }
  }
}

void bulkhead_layer::frame::give_back() noexcept {
  if (place) {
    core->abandon(*place);
  } else {
    core->release();
  }
}

step bulkhead_layer::enqueue(frame& f, operation& op) const {
  if (core_->waiting() >= core_->options().queue) return refuse(op);
  const admission a = core_->acquire_or_enqueue(op, f.place);
  if (a == admission::refused) return refuse(op);
  f.core = core_.get();
  if (a == admission::granted) return step::go;
  const duration longest = core_->options().max_queue_time;
  op.wait_until = op.limit.at;
  if (longest > duration::zero()) {
    op.wait_until = std::min(op.wait_until, saturating_add(op.time().precise_now(), longest));
  }
  return step::wait;
}

step bulkhead_layer::resumed(frame& f, operation& op, wait_end end) const {
  turn& place = *std::exchange(f.place, nullptr);
  if (end == wait_end::granted) return step::go;
  f.core = nullptr;
  core_->abandon(place);
  if (end == wait_end::cancelled) {
    op.refuse({.code = errc::cancelled});
    return step::refuse;
  }
  if (op.now() >= op.limit.at) {
    op.refuse({.code = op.limit.code, .policy = policy_kind::timeout});
    return step::refuse;
  }
  return refuse(op);
}

step bulkhead_layer::refuse(operation& op) const {
  core_->count_refusal();
  op.refuse({.code = errc::bulkhead_full,
             .policy = policy_kind::bulkhead,
             .policy_name = &core_->name()});
  return step::refuse;
}

}  // namespace holdfast::detail
