// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_CALL_CONTEXT_HPP
#define HOLDFAST_CALL_CONTEXT_HPP

#include <algorithm>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <cstdint>
#include <holdfast/call_options.hpp>
#include <holdfast/clock.hpp>
#include <holdfast/detail/deadline_alarm.hpp>
#include <holdfast/time/time_service.hpp>
#include <string_view>
#include <utility>

namespace holdfast {

namespace detail {
/// Why an operation's signal was emitted.
enum class cancel_reason : std::uint8_t { none, deadline, caller };
struct context_token_access;
class rate_limiter_layer;
}  // namespace detail

struct context_token;

/// What a protected call may know, and how it lets itself be cancelled.
///
/// A call that takes `call_context&` promises to await its own operations with `token()` (or with
/// `slot()` bound to them): that is how a timeout reaches them without a coroutine chain of its
/// own. Pass the context to nested pipelines as their parent.
/// A call that only wants to read takes `const call_context&` instead; it is cancelled like any
/// other awaitable.
///
/// Thread safety: used on the call's executor only. Lives until the call has ended.
class call_context {
 public:
  call_context(const call_context&) = delete;
  call_context& operator=(const call_context&) = delete;

  /// The earliest deadline of all timeouts around this attempt and of the caller; `never` if none.
  time_point deadline() const noexcept { return deadline_; }

  /// The time left until the deadline: zero once it has passed, `duration::max()` without one.
  duration remaining() const noexcept;

  /// The time of the operation's execution context: virtual in a test.
  time_point now() const noexcept { return time_->precise_now(); }

  /// The number of this attempt, from 1.
  unsigned attempt() const noexcept { return attempt_; }

  /// Looks a tag up that the caller attached with `call_options::tags`; empty if there is none.
  std::string_view tag(std::string_view key) const noexcept {
    return tags_ ? tags_->find(key) : std::string_view();
  }

  /// All tags of the operation; null for none.
  const tag_set* tags() const noexcept { return tags_; }

  /// Tells the rate limiters around the call what it really cost, in units of `call_options::cost`:
  /// they take back what was reserved beyond it, or charge the rest. May be said in parts, and by
  /// each of several attempts: the units add up. Reaches the limiters around a hedge, a fallback or
  /// the parent as well. Never said, what was reserved stays taken. Without effect on an attempt
  /// that a detaching timeout has left behind.
  void settle(std::uint64_t units) noexcept {
    settled_ = (settled_ == unsettled ? 0 : settled_) + std::min(units, most_settled);
    settled_ = std::min(settled_, most_settled);
  }

  /// For the library: adds what an operation within the call has settled.
  void charge(const call_context& part) noexcept {
    if (part.settled_ != unsettled) settle(part.settled_);
  }

  /// How much the operation matters: its own `call_options::priority`, or its parent's.
  holdfast::priority priority() const noexcept { return priority_; }

  /// Whether the call may be made again after it may have reached the service, by itself as well.
  /// See `call_options::idempotent`.
  bool idempotent() const noexcept { return idempotent_; }

  /// On whose behalf the operation runs; empty if nobody said. See `call_options::tenant`.
  std::string_view tenant() const noexcept {
    return caller_ ? caller_->tenant : std::string_view();
  }

  /// The session or task that the operation belongs to; zero if nobody said.
  std::uint64_t session() const noexcept { return caller_ ? caller_->session : 0; }

  /// For the library: the options that name the tenant and the session; may be null.
  const call_options* caller() const noexcept { return caller_; }

  /// Whether the attempt was asked to stop, by a timeout or by the caller.
  bool cancelled() const noexcept {
    if (unarmed_ && now() >= deadline_) reason_ = detail::cancel_reason::deadline;
    return reason_ != detail::cancel_reason::none;
  }

  /// The completion token for the call's operations: `co_await op(ctx.token())`. As cheap as
  /// `asio::deferred`; the operation ends with `operation_aborted` when the attempt is cancelled.
  context_token token() noexcept;

  /// The slot that the token binds: for operations that take a slot directly. It holds the handler
  /// of one operation at a time and hears timeouts; the caller's own cancellation reaches the
  /// operation through the token only.
  asio::cancellation_slot slot() {
    if (unarmed_) {
      unarmed_->start(*time_, deadline_);  // may throw: it is to be armed the next time, then
      unarmed_ = nullptr;
    }
    return signal_.slot();
  }

 protected:
  explicit call_context(time_service& time) noexcept : time_(&time) {}
  ~call_context() = default;

  /// Emits the one signal of the scope. The first reason stays, but the caller's overrules all.
  void cancel(detail::cancel_reason why, asio::cancellation_type_t type) {
    if (reason_ == detail::cancel_reason::none || why == detail::cancel_reason::caller) {
      reason_ = why;
    }
    signal_.emit(type);
  }

  /// Passes the cancellation of an outer scope on to this one.
  struct forward_cancellation {
    call_context* to;
    void operator()(asio::cancellation_type_t type) const {
      to->cancel(detail::cancel_reason::caller, type);
    }
  };

  /// Connects the slot of the coroutine that is about to be suspended, which Asio clears again on
  /// its resumption.
  void listen_to(asio::cancellation_slot outer) {
    if (outer.is_connected()) outer.emplace<forward_cancellation>(this);
  }

  friend struct detail::context_token_access;
  friend class detail::rate_limiter_layer;

  static constexpr std::uint64_t unsettled = ~std::uint64_t{0};
  static constexpr std::uint64_t most_settled = unsettled / 4;

  time_service* time_;
  time_point deadline_ = never;
  asio::cancellation_signal signal_;
  /// The alarm of the deadline, until somebody can hear it: a call that never waits never arms it.
  detail::deadline_alarm* unarmed_ = nullptr;
  const tag_set* tags_ = nullptr;
  std::uint64_t settled_ = unsettled;
  /// The options, of this operation or of one around it, that name the tenant and the session.
  const call_options* caller_ = nullptr;
  unsigned attempt_ = 0;
  holdfast::priority priority_ = holdfast::priority::normal;
  bool idempotent_ = true;
  mutable detail::cancel_reason reason_ = detail::cancel_reason::none;  // see `cancelled`
};

}  // namespace holdfast

#include <holdfast/detail/context_token.hpp>

#endif
