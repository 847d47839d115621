// SPDX-License-Identifier: BSL-1.0
#include <holdfast/policy/rate_limiter.hpp>

namespace holdfast {

rate_limiter::rate_limiter(options o)
    : core_(std::make_shared<detail::limiter_core>(std::move(o))) {}

rate_limiter::reservation rate_limiter::reserve(std::uint32_t units, time_point latest,
                                                time_point now) {
  // One nanosecond more: `book` takes a deadline, before which the permits must be there.
  const auto b = core_->book(units, now, saturating_add(latest, duration(1)));
  const bool granted = b.what != detail::booking::kind::refused;
  if (!granted) core_->count_refusal();
  return {granted, units, b.at, b.mark};
}

void rate_limiter::refund(const reservation& r, time_point now) noexcept {
  if (!r.granted) return;
  if (now < r.at) {
    core_->cancel(r.units, r.mark);
  } else {
    core_->settle(r.units, r.mark, 0, now);
  }
}

namespace detail {

step rate_limiter_layer::book(frame& f, operation& op) const {
  op.start_edge_precisely();
  const booking b = core_->book_and_wait(f.units, op.now(), op.limit.at);
  if (b.what == booking::kind::refused) return refuse(op, b.at);
  f.mark = b.mark;
  if (b.what == booking::kind::admitted) return admit(f, op);
  f.core = core_.get();
  f.begun = waits;
  op.prepare_wait();
  op.wait_until = b.at;
  return step::wait;
}

step rate_limiter_layer::resumed(frame& f, operation& op, wait_end end) const {
  if (end == wait_end::cancelled) {
    f.give_back();
    f.core = nullptr;
    op.refuse({.code = errc::cancelled});
    return step::refuse;
  }
  core_->wait_over();
  f.core = nullptr;
  if (op.now() < core_->held_until()) {
    // The service has asked for silence since. What was booked falls into it, and is lost.
    return book(f, op);
  }
  if (op.now() >= op.limit.at) {
    core_->settle(f.units, f.mark, 0, op.now());
    op.refuse({.code = op.limit.code, .policy = policy_kind::timeout});
    return step::refuse;
  }
  return admit(f, op);
}

void rate_limiter_layer::settle(const frame& f, operation& op, verdict v) const {
  if (op.calls_made() == f.begun) {
    core_->settle(f.units, f.mark, 0, op.now());
  } else if (op.settled_ != operation::unsettled && core_->plan().options.weighted) {
    core_->settle(f.units, f.mark, op.settled_, op.now());
  }
  if (f.outer_settled != operation::unsettled) op.settle(f.outer_settled);
  if (v == verdict::throttled) core_->hold_for(op.retry_after, op.now());
}

/// The operation ends here: cancelled while it waited, or destroyed with its executor.
void rate_limiter_layer::frame::give_back() noexcept {
  if (begun != waits) return;  // the call was made: what it cost is spent
  core->wait_over();
  core->cancel(units, mark);
}

step rate_limiter_layer::refuse(operation& op, time_point at) const {
  core_->count_refusal();
  op.refuse({.code = errc::rate_limited,
             .policy = policy_kind::rate_limiter,
             .policy_name = &core_->name(),
             .retry_after = at == never ? duration(-1) : at - op.now()});
  return step::refuse;
}

}  // namespace detail
}  // namespace holdfast
