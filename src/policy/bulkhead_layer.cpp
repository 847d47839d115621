// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <holdfast/policy/bulkhead.hpp>

namespace holdfast::detail {

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
    turn& wish = op.prepare_wait();  // may allocate: before anything is counted
    wish.weight = weight;
    wish.rank = std::min(op.priority(), priority::background);
    wish.until = op.limit.at;
    a = core_->acquire_or_enqueue(wish, op.time().precise_now());
    if (a == admission::queued) {
      op.wait_until = wish.until;
      f.place = &wish;
    }
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
  op.waited_in_queue(waited);
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

}  // namespace holdfast::detail
