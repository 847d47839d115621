// SPDX-License-Identifier: BSL-1.0
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/system/errc.hpp>
#include <holdfast/detail/detach_state.hpp>
#include <holdfast/detail/operation.hpp>
#include <holdfast/detail/timeout_terms.hpp>
#include <holdfast/ledger.hpp>
#include <memory>
#include <mutex>
#include <new>

namespace holdfast {

namespace detail {

/// A wait of the operation, which hears its scope.
struct operation::suspension : scope_listener {
  suspension() noexcept
      : scope_listener([](scope_listener& l, asio::cancellation_type_t) {
          static_cast<suspension&>(l).place.wait.cancel();
        }) {}
  turn place;
  duration in_queues{0};
};

/// The operation as a part of the call in which it is nested: hears the call's scope.
struct operation::parent_link : scope_listener {
  /// Outlives the operation while a cancellation is on its way to another place.
  struct remote {
    sync::short_mutex mutex;
    operation* child;
  };

  parent_link(operation& op, call_context& p)
      : scope_listener(&on_told), child(op), parent(p) {
    if (child.home.serial() && !child.home.same_as(*parent.place_)) {
      elsewhere = std::make_shared<remote>();
      elsewhere->child = &child;
    }
    parent.scope_.link(*this, false);
  }
  ~parent_link() {
    if (elsewhere) {
      const std::lock_guard lock(elsewhere->mutex);
      elsewhere->child = nullptr;
    }
    cancellation_scope::unlink(*this, false);
  }

  static void on_told(scope_listener& listener, asio::cancellation_type_t type) {
    auto& self = static_cast<parent_link&>(listener);
    const auto why = self.scope->reason();
    if (!self.elsewhere) return self.child.scope_.ring(why, type);
    self.child.home.execute(true, [to = self.elsewhere, why, type] {
      operation* rung = nullptr;
      {
        const std::lock_guard lock(to->mutex);
        if (to->child && to->child->scope_.begin_ring(why, type)) rung = to->child;
      }
      if (rung) rung->scope_.finish_ring();
    });
  }

  operation& child;
  call_context& parent;
  std::shared_ptr<remote> elsewhere;
};

template <class T>
void operation::deleter<T>::operator()(T* p) const noexcept {
  delete p;
}
template struct operation::deleter<operation::suspension>;
template struct operation::deleter<operation::parent_link>;

void operation::begin_as_part() {
  if (options.parent) take_over_from_parent(*this);
  if (options.ledger && !is_part()) options.ledger->begin();
}

void operation::inherit(call_context& parent) {
  if (parent.limit.at < limit.at) {
    limit.at = parent.limit.at;
    limit.code = parent.limit.code;
    limit.emits_ = parent.limit.emits_;
    // What a detaching timeout has left behind may go on without the timeout.
    limit.by = parent.limit.detach ? nullptr : parent.limit.by;
  }
  limit.detach_at = parent.limit.detach_at;
  limit.detach = parent.limit.detach;
  if (!tags_) tags_ = parent.tags();
  if (options.tenant.empty() && options.session == 0) caller_ = parent.caller();
  if (!options.priority) priority_ = parent.priority();
  idempotent_ = idempotent_ && parent.idempotent();
  used_ = true;
  parent_.reset(new parent_link(*this, parent));
}

void operation::reopen_scope() noexcept {
  slot_.reset();
  scope_.reopen();
}

void operation::close_scope() noexcept {
  used_ = false;
  disarm();
  slot_.reset();
  parent_.reset();
  if (!scope_.is_quiet()) scope_.close();
}

// Not inline: it would be so in every layer that asks.
void operation::read_time() const noexcept { now_ = time().now(); }

bool operation::refuse_late() noexcept {
  return refuse({.code = errc::deadline_too_near});
}

turn& operation::prepare_wait() {
  if (!waits_) waits_.reset(new suspension);
  waits_->told = 0;
  scope_.reopen();  // the deadline that ended the last attempt does not end the wait for the next
  waits_->place.wait.prepare(time(), {});
  return waits_->place;
}

asio::awaitable<void> operation::wait(operation& op) {
  co_await asio::async_initiate<const asio::deferred_t, void()>(
      [&op](auto handler) {
        suspension& s = *op.waits_;
        wait_state& wait = s.place.wait;
        try {
          op.listen_to(asio::get_associated_cancellation_slot(handler));
          // In this order: from its start on the wait may end, on another thread.
          const cancellation_scope::entry in(op.scope_);
          op.scope_.link(s);
          wait.start(op.wait_until, std::move(handler));
        } catch (...) {
          // Out of here it would leave the context's `run`, and nobody would be told.
          wait.fail();
          std::move(handler)();
        }
      },
      asio::deferred);
}

duration operation::time_in_queues() const noexcept {
  return waits_ ? waits_->in_queues : duration::zero();
}

void operation::waited_in_queue(duration d) noexcept { waits_->in_queues += d; }

wait_end operation::finish_wait() {
  cancellation_scope::unlink(*waits_, false);
  const wait_end end = waits_->place.wait.finish();
  if (end == wait_end::failed) throw std::bad_alloc();
  if (end == wait_end::granted) return end;
  // Cancelled by the deadline of the call in which it is nested, it has elapsed.
  return caller_cancelled() ? wait_end::cancelled : wait_end::elapsed;
}

failure operation::timeout_failure() const noexcept {
  const time_point now = time().precise_now();
  return expired(now > limit.at ? now - limit.at : duration::zero());
}

failure operation::expired(duration overrun) const noexcept {
  if (limit.by) return limit.by->expired(overrun);
  failure f(limit.code, policy_kind::timeout, {});
  f.set_time({}, overrun);
  return f;
}

void operation::attribute(failure& f) const noexcept {
  if (f.code() != boost::system::errc::operation_canceled) return;
  if (caller_cancelled()) {
    f = failure(errc::cancelled);
  } else if (scope_.reason() == cancel_reason::deadline ||
             (options.parent && options.parent->scope_.reason() == cancel_reason::deadline)) {
    f = timeout_failure();
  }
}

failure operation::left_failure() const {
  return limit.at < limit.detach_at ? limit.detach->terms.expired(duration::zero())
                                    : expired(duration::zero());
}

void operation::attribute_timeout(failure& f) const noexcept {
  if (f.code() == errc::total_timeout && timed() && time().precise_now() >= limit.at) {
    f = timeout_failure();
  }
}

bool operation::ended_by_deadline() const noexcept {
  return error && error->policy() == policy_kind::timeout && limit.at == attempt_until_ &&
         now() >= limit.at;
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
                          .took = time().precise_now() - started});
}

void operation::record_link(time_point started, verdict v, const failure* f) noexcept {
  options.ledger->leave_link(started, time().precise_now() - started, v,
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
       .started = time().precise_now(),
       .took = duration::zero()});
}

}  // namespace detail
}  // namespace holdfast
