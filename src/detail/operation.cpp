// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/system/errc.hpp>
#include <holdfast/detail/operation.hpp>
#include <holdfast/ledger.hpp>
#include <new>

namespace holdfast {

duration call_context::remaining() const noexcept {
  if (deadline_ == never) return duration::max();
  return std::max(deadline_ - now(), duration::zero());
}

namespace detail {

void operation::open() {
  if (options.parent) take_over_from_parent(*this);
  if (options.ledger && !is_part()) options.ledger->begin();
}

void operation::inherit(call_context& parent) {
  limit.at = std::min(limit.at, parent.deadline());
  if (!tags_) tags_ = parent.tags();
  if (options.tenant.empty() && options.session == 0) caller_ = parent.caller();
  if (!options.priority) priority_ = parent.priority();
  idempotent_ = idempotent_ && parent.idempotent();
  parent.slot().emplace<forward_cancellation>(this);
}

// Not inline: it would be so in every layer that asks.
void operation::read_time() const noexcept { now_ = time_->now(); }

bool operation::refuse_late() noexcept {
  return refuse({.code = errc::deadline_too_near});
}

void operation::ring() { cancel(cancel_reason::deadline, asio::cancellation_type::all); }

turn& operation::prepare_wait() {
  if (!turn_) turn_.reset(new turn);
  turn_->wait.prepare(*time_, signal_.slot());
  return *turn_;
}

// Not inline: few operations wait.
void operation::delete_turn::operator()(turn* t) const noexcept { delete t; }

asio::awaitable<void> operation::wait(operation& op) {
  co_await asio::async_initiate<const asio::deferred_t, void()>(
      [&op](auto handler) {
        wait_state& wait = op.turn_->wait;
        try {
          op.listen_to(asio::get_associated_cancellation_slot(handler));
          wait.start(op.wait_until, std::move(handler));
        } catch (...) {
          // Out of here it would leave the context's `run`, and nobody would be told.
          wait.fail();
          std::move(handler)();
        }
      },
      asio::deferred);
}

wait_end operation::finish_wait() {
  const wait_end end = turn_->wait.finish();
  if (end == wait_end::failed) throw std::bad_alloc();
  return end != wait_end::granted && caller_cancelled() ? wait_end::cancelled : end;
}

void operation::attribute(failure& f) const noexcept {
  if (f.code() != boost::system::errc::operation_canceled) return;
  if (caller_cancelled()) {
    f = failure(errc::cancelled);
  } else if (reason_ == cancel_reason::deadline) {
    f = timeout_failure();
  }
}

void operation::attribute_timeout(failure& f) const noexcept {
  if (f.code() == errc::total_timeout && timed() && time_->precise_now() >= limit.at) {
    f = timeout_failure();
  }
}

bool operation::ended_by_deadline() const noexcept {
  return error && error->policy() == policy_kind::timeout && limit.at == deadline_ &&
         now() >= deadline_;
}

void operation::note_deadline(bool own) noexcept {
  if (!ended_by_deadline()) return;
  // A call that a detaching timeout left behind has had that timeout's whole time.
  const bool left_behind = limit.detach && now() >= limit.detach_at;
  cut_short = !own && !left_behind;
}

void operation::record_attempt(unsigned attempt, time_point started, verdict v,
                               boost::system::error_code code) noexcept {
  options.ledger->record({.link = {},
                          .attempt = attempt,
                          .outcome = v,
                          .code = code,
                          .refused_by = policy_kind::none,
                          .policy_name = {},
                          .started = started,
                          .took = time_->precise_now() - started});
}

void operation::record_link(time_point started, verdict v, const failure* f) noexcept {
  options.ledger->leave_link(started, time_->precise_now() - started, v,
                             f ? f->code() : boost::system::error_code());
}

void operation::record_refusal() noexcept {
  options.ledger->record(
      {.link = {},
       .attempt = 0,
       .outcome = verdict::neutral,
       .code = make_error_code(refused.code),
       .refused_by = refused.policy,
       .policy_name = refused.policy_name ? short_name(*refused.policy_name) : short_name(),
       .started = time_->precise_now(),
       .took = duration::zero()});
}

}  // namespace detail
}  // namespace holdfast
