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
  const std::lock_guard lock(mutex_);
  while (first_) {
    bulkhead_waiter& w = *first_;
    unlink(w);
    word_.fetch_sub(waiting_one, std::memory_order_relaxed);
    // Fails where the wait has ended otherwise; that operation has yet to leave the queue.
    if (w.wait->grant()) return;
  }
  word_.fetch_sub(1, std::memory_order_release);
}

void bulkhead_core::abandon(bulkhead_waiter& w) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (w.linked) {
      unlink(w);
      word_.fetch_sub(waiting_one, std::memory_order_relaxed);
    }
  }
  if (w.wait->granted()) release();
}

void bulkhead_core::link(bulkhead_waiter& w) noexcept {
  w.linked = true;
  w.prev = last_;
  w.next = nullptr;
  (last_ ? last_->next : first_) = &w;
  last_ = &w;
}

void bulkhead_core::unlink(bulkhead_waiter& w) noexcept {
  (w.prev ? w.prev->next : first_) = w.next;
  (w.next ? w.next->prev : last_) = w.prev;
  w.linked = false;
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

step bulkhead_layer::enqueue(frame& f, operation& op) const {
  f.wait = &op.wait;
  // Marked before anybody can grant: from then on the frame's destructor answers for the permit.
  f.queued_at = core_.get();
  switch (core_->acquire_or_enqueue(f, [&op] { op.prepare_wait(); })) {
    case admission::granted:
      f.queued_at = nullptr;
      f.holds = core_.get();
      return step::go;
    case admission::queued: {
      const duration longest = core_->options().max_queue_time;
      op.wait_until = op.limit.at;
      if (longest > duration::zero()) {
        op.wait_until = std::min(op.wait_until, saturating_add(op.time().precise_now(), longest));
      }
      return step::wait;
    }
    case admission::refused: break;
  }
  f.queued_at = nullptr;
  return refuse(op);
}

step bulkhead_layer::resumed(frame& f, operation& op, wait_end end) const {
  f.queued_at = nullptr;
  if (end == wait_end::granted) {
    f.holds = core_.get();
    return step::go;
  }
  core_->abandon(f);
  if (end == wait_end::cancelled) {
    op.refuse({.code = errc::cancelled});
    return step::refuse;
  }
  if (op.now >= op.limit.at) {
    op.refuse({.code = op.limit.code, .policy = policy_kind::timeout});
    return step::refuse;
  }
  return refuse(op);
}

step bulkhead_layer::refuse(operation& op) const {
  core_->count_refusal();
  op.refuse({.code = errc::bulkhead_full,
             .policy = policy_kind::bulkhead,
             .policy_name = core_->name()});
  return step::refuse;
}

}  // namespace holdfast::detail
