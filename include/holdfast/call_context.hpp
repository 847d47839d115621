// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_CALL_CONTEXT_HPP
#define HOLDFAST_CALL_CONTEXT_HPP

#include <algorithm>
#include <boost/asio/cancellation_signal.hpp>
#include <cstdint>
#include <holdfast/call_options.hpp>
#include <holdfast/clock.hpp>
#include <holdfast/detail/cancellation_scope.hpp>
#include <holdfast/detail/deadline_alarm.hpp>
#include <holdfast/detail/deadline_scope.hpp>
#include <holdfast/detail/place.hpp>
#include <holdfast/time/time_service.hpp>
#include <memory>
#include <string_view>
#include <utility>

namespace holdfast {

namespace detail {
class attempt_context;
class context_initiation_base;
class operation;
class rate_limiter_layer;
struct signal_listener;
struct release_listener {
  void operator()(signal_listener*) const noexcept;
};
}  // namespace detail

struct context_token;

/// What a protected call may know, and how it lets itself be cancelled.
///
/// A call that takes `call_context&` promises to await its own operations with `token()`: that is
/// how a timeout reaches them without a coroutine chain of its own. Pass the context to nested
/// pipelines as their parent. Any number of operations may be under way through one context.
/// A call that only wants to read takes `const call_context&` instead; it is cancelled like any
/// other awaitable.
///
/// Thread safety: operations may be started through `token()`, and `cancelled()` asked, from any
/// thread that the call has gone to; the rest is for one thread at a time. Lives until the call has
/// ended.
class call_context {
 public:
  call_context(const call_context&) = delete;
  call_context& operator=(const call_context&) = delete;

  /// The earliest deadline of all timeouts around this attempt and of the caller; `never` if none.
  time_point deadline() const noexcept { return limit.at; }

  /// The time left until the deadline: zero once it has passed, `duration::max()` without one.
  duration remaining() const noexcept;

  /// The time of the operation's execution context: virtual in a test.
  time_point now() const noexcept { return place_->time().precise_now(); }

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

  /// Tells whether the attempt is over: a timeout or the caller has cancelled it. It stays so.
  /// If the caller cancels while the call awaits something without `token()`, the context learns of it
  /// from the next operation that is started with `token()`.
  bool cancelled() const noexcept {
    if (unarmed_ && limit.at <= now()) scope_.note(detail::cancel_reason::deadline, {});
    return scope_.reason() != detail::cancel_reason::none;
  }

  /// The completion token for the call's operations: `co_await op(ctx.token())`. As
  /// `asio::deferred`; the operation ends with `operation_aborted` when the attempt is cancelled, or
  /// if it has been already. It also hears the cancellation slot that its handler brings, so that
  /// `a(ctx) || b(ctx)` works.
  context_token token() noexcept;

  /// A slot for one operation that takes a slot directly. It hears what is cancelled while the
  /// operation is under way; unlike with `token()`, an operation that starts afterwards goes on.
  asio::cancellation_slot slot();

 protected:
  explicit call_context(const detail::place& where) noexcept : place_(&where) {}
  ~call_context() = default;

  friend class detail::attempt_context;
  friend class detail::context_initiation_base;
  friend class detail::operation;
  friend class detail::rate_limiter_layer;

  /// Arms the alarm of the deadline, which is the operation's.
  void arm();

  /// Notes the cancellation of the chain in which the call runs, if `slot` belongs to that chain. The
  /// signal may have come while something other than this context listened to it. Operations that start
  /// later are told. Only if `in_callers_chain_`.
  void hear_chain(const asio::cancellation_slot& slot) noexcept;

  static constexpr std::uint64_t unsettled = ~std::uint64_t{0};
  static constexpr std::uint64_t most_settled = unsettled / 4;

  const detail::place* place_;
  mutable detail::cancellation_scope scope_;
  /// The alarm of the deadline, until something can hear it: a call that never waits never arms it.
  bool unarmed_ = false;
  /// Whether anything was linked to the scope, or armed.
  bool used_ : 1 = false;
  bool idempotent_ : 1 = true;
  /// Whether this is the operation itself, and the call runs in the caller's chain.
  bool in_callers_chain_ : 1 = false;
  holdfast::priority priority_ = holdfast::priority::normal;
  unsigned attempt_ = 0;
  std::unique_ptr<detail::signal_listener, detail::release_listener> slot_;  // see `slot()`
  const tag_set* tags_ = nullptr;
  std::uint64_t settled_ = unsettled;
  /// The options, of this operation or of one around it, that name the tenant and the session.
  const call_options* caller_ = nullptr;
  /// The deadline in force, and what happens at it.
  detail::deadline_scope limit;
};

}  // namespace holdfast

#include <holdfast/detail/context_token.hpp>

#endif
