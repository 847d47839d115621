// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_OPERATION_HPP
#define HOLDFAST_DETAIL_OPERATION_HPP

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <holdfast/call_context.hpp>
#include <holdfast/call_options.hpp>
#include <holdfast/detail/deadline_alarm.hpp>
#include <holdfast/detail/deadline_scope.hpp>
#include <holdfast/detail/inheritance.hpp>
#include <holdfast/detail/place.hpp>
#include <holdfast/detail/turn.hpp>
#include <holdfast/errc.hpp>
#include <holdfast/failure.hpp>
#include <holdfast/ledger.hpp>
#include <holdfast/verdict.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::detail {

/// What a layer asks of the engine.
enum class step : std::uint8_t {
  go,       ///< Down: enter the next layer. Up: pass the outcome on.
  refuse,   ///< Down: the operation ends here, with `operation::refused`.
  fault,    ///< Down: as if the call had been made and failed with the layer's `fault`.
  wait,     ///< Down: wait for a permit until `operation::wait_until`.
  again,    ///< Up: run the layers below again, at `operation::wait_until`.
  replace,  ///< Up: replace the outcome by that of the layer's link.
  answer,   ///< Down: the layer has the answer. Up: it looks at the outcome, and may replace it.
};

/// Whether a layer asks for a wait.
constexpr bool is_wait(step s) noexcept { return s == step::wait || s == step::again; }

/// Whether a deadline leaves an attempt practically all the time that a timeout of `after`, which
/// would end at `until`, allows. Then it measures the service as well.
inline bool measures_as_well(time_point deadline, time_point until, duration after) noexcept {
  return saturating_add(until, -(after / 100)) <= deadline;
}

/// A layer's refusal, turned into a failure only if it reaches the caller.
struct refusal {
  errc code = errc::cancelled;
  policy_kind policy = policy_kind::none;
  const std::string* policy_name = nullptr;
  duration retry_after = duration(-1);
};

/// One operation, without its result's type: what the layers see of it and what the engine keeps.
/// It is the context of the call as well, unless the attempt runs on a chain of its own.
class operation final : public call_context, private deadline_alarm {
 public:
  friend class holdfast::call_context;  // arms the alarm
  /// `executor` is the caller's, and may be replaced by its plain form.
  operation(asio::any_io_executor& executor, const call_options& o)
      : call_context(home), options(o), home(executor) {
    attempt_ = 1;
    in_callers_chain_ = true;
    tags_ = o.tags;
    caller_ = &o;
    priority_ = o.priority.value_or(holdfast::priority::normal);
    idempotent_ = o.idempotent;
    limit.at = o.deadline;
  }
  ~operation() {
    if (used_) close_scope();
  }

  /// Begins, once the caller's chain is where it belongs; nothing if it has begun.
  void open() {
    if ((options.parent || options.ledger) && !open_) [[unlikely]] begin_as_part();
    open_ = true;
  }

  time_service& time() const noexcept { return home.time(); }

  /// The time of this edge: the way down to the call, or back from it. Read when first asked for,
  /// and then the same for all layers.
  time_point now() const noexcept {
    if (now_ == unread) read_time();
    return now_;
  }
  template <bool ReadTime>
  void start_edge() noexcept {
    now_ = ReadTime ? time().now() : unread;
  }
  /// The way down to an attempt: a timeout begins with it, by a clock that is never behind.
  template <bool ReadTime, bool Timed>
  void start_descent() noexcept {
    if constexpr (Timed) {
      start_edge_precisely();
    } else {
      start_edge<ReadTime>();
    }
  }
  void start_edge_precisely() noexcept { now_ = time().precise_now(); }

  std::uint64_t random() const noexcept { return time().random(); }

  /// Who cancels the chain of coroutines that the operation runs in: its caller, or a deadline of the
  /// call in which it is nested, whose chain that is.
  cancel_reason why_chain_is_cancelled() const noexcept {
    if (!options.parent) [[likely]] return cancel_reason::caller;
    const cancel_reason why = options.parent->scope_.reason();
    return why == cancel_reason::none ? cancel_reason::caller : why;
  }

  /// Whether the caller, or the caller of the call that this operation is part of, wants no more.
  bool caller_cancelled() const noexcept {
    if (scope_.reason() == cancel_reason::caller) [[unlikely]] return true;
    if (options.parent) [[unlikely]] {
      const cancel_reason why = options.parent->scope_.reason();
      if (why != cancel_reason::none) return why == cancel_reason::caller;
    }
    return !!coroutine.cancelled();
  }

  /// Whether something other than the caller may have to cancel the call.
  bool timed() const noexcept { return limit.at != never; }

  /// Opens an attempt: false, with `refusal` set, where no time is left or the caller has gone. One
  /// that a layer made fail by its deadline has begun in time.
  [[gnu::always_inline]] bool begin_attempt(bool failed_already = false) noexcept {
    if (caller_cancelled()) [[unlikely]] return refuse({.code = errc::cancelled});
    if (timed() && now() >= limit.at && !failed_already) [[unlikely]] return refuse_late();
    if (used_) [[unlikely]] reopen_scope();
    error = nullptr;
    kept_verdict.reset();
    cut_short = had_its_time = false;
    attempt_until_ = limit.at;
    return true;
  }

  /// The same for a link, which takes over from an outcome with the verdict `v`.
  bool begin_link(verdict& v) noexcept {
    const verdict last = kept_verdict.value_or(v);
    if (!begin_attempt()) return false;
    v = last;
    return true;
  }

  /// Has the first wait of an attempt in the caller's chain arm its deadline.
  void arm_when_heard() noexcept {
    unarmed_ = timed();
  }
  /// The attempt in the caller's chain is over.
  void disarm() noexcept {
    unarmed_ = false;
    deadline_alarm::stop();
  }

  bool refuse(const holdfast::detail::refusal& r) noexcept {
    refused = r;
    return false;
  }

  /// What an attempt's failure really was, once it is known who cancelled it.
  void attribute(failure& f) const noexcept;

  /// The same for a deadline that an operation within this one has kept in this one's place.
  void attribute_timeout(failure& f) const noexcept;

  /// On the way up out of a layer that limits the time, before its limit is taken back: notes
  /// whether the attempt ended by a deadline from outside that allowed less. `own`: it did not.
  void note_deadline(bool own) noexcept;

  /// Whether the attempt ended by the deadline that is in force here.
  bool ended_by_deadline() const noexcept;

  /// What an outcome says of the service: nothing, if a deadline from outside cut the attempt
  /// shorter than the timeouts below allow.
  verdict of_service(verdict v) const noexcept {
    return cut_short && !is_answer(v) ? verdict::neutral : v;
  }

  /// Of an attempt that a timeout has left behind.
  failure left_failure() const;

  failure timeout_failure() const noexcept;
  failure refusal_failure() const {
    return {refused.code, refused.policy,
            refused.policy_name ? std::string_view(*refused.policy_name) : std::string_view(),
            refused.retry_after < duration::zero() ? std::nullopt
                                                   : std::optional(refused.retry_after)};
  }

  /// Ends the operation. Called on every end but that of the whole chain.
  [[gnu::always_inline]] void close(bool answered) noexcept {
    if (options.parent) [[unlikely]] hand_back_to_parent(*this);
    if (used_) close_scope();
    if (options.ledger && !is_part()) [[unlikely]] options.ledger->end(answered);
  }

  /// Opens the wait of a bulkhead's queue or of a retry's delay.
  turn& prepare_wait();

  /// Waits until `wait_until` or until the turn comes. Not started if the caller has cancelled.
  static asio::awaitable<void> wait(operation& op);

  /// The time that the operation has spent in queues.
  duration time_in_queues() const noexcept;
  /// Adds to it, after a wait.
  void waited_in_queue(duration d) noexcept;

  /// Closes the wait and tells how it ended. Throws `std::bad_alloc` where it could not begin.
  wait_end finish_wait();

  /// Hears the caller while the chain is suspended for an attempt or a wait of ours: through the
  /// slot of its coroutine, which Asio clears on its resumption.
  void listen_to(asio::cancellation_slot caller) {
    struct ring_scope {
      operation* op;
      void operator()(asio::cancellation_type_t type) const {
        op->scope_.ring(op->why_chain_is_cancelled(), type);
      }
    };
    used_ = true;
    if (caller.is_connected()) caller.emplace<ring_scope>(this);
  }
  cancellation_scope& scope() noexcept { return scope_; }

  /// Takes over why an attempt on a chain of its own was cancelled.
  void attempt_over(cancel_reason why) noexcept {
    if (why != cancel_reason::none) scope_.note(why, {});
  }

  // For the ledger; nothing where the caller did not ask for one.
  void record_attempt(unsigned attempt, time_point started, verdict v,
                      boost::system::error_code code) noexcept;
  void record_refusal() noexcept;
  void record_link(time_point started, verdict v, const failure* f) noexcept;

  const call_options& options;
  /// Where the operation runs: the caller's executor.
  place home;
  /// The caller's cancellation state; renewed before each use, since the call may reset it.
  asio::cancellation_state coroutine;

  using call_context::limit;
  time_point wait_until;
  detail::refusal refused;
  /// The failure that is on its way up, if the outcome is one.
  const failure* error = nullptr;
  /// The service's hint, from the failure or from the classifier; negative if there is none.
  duration retry_after{-1};
  unsigned attempts_started = 0;
  /// Calls that were made for this operation by its links.
  unsigned made_elsewhere = 0;
  /// The verdict of an earlier attempt, where that attempt's outcome outlives a later refusal.
  std::optional<verdict> kept_verdict;
  /// Whether the call can be made again in the background, beyond this operation.
  bool detachable = false;
  /// See `of_service`.
  bool cut_short = false;
  /// An attempt below a hedge ended by the deadline around the hedge and was not cut short by it.
  bool had_its_time = false;

  /// What the pipeline says; the stricter counts.
  void restrict_repetition(bool idempotent) noexcept { idempotent_ = idempotent_ && idempotent; }

  // Every attempt has a number of its own, in the order in which they start.
  unsigned number_attempt() noexcept {
    attempt_ = ++attempts_started;
    if (is_part()) [[unlikely]] attempt_ = number_in_whole(*this);
    return attempt_;
  }
  /// Shows the number that the next one will have, until then.
  void expect_attempt() noexcept { attempt_ = next_number(*this); }

  /// The calls made so far, its own and its links'.
  unsigned calls_made() const noexcept { return attempts_started + made_elsewhere; }

  /// Whether the operation is a part of another one.
  bool is_part() const noexcept { return options.role != operation_role::own; }

  /// Whether it makes a call once more that was counted the first time.
  bool repeats() const noexcept { return options.role == operation_role::further_hedge_attempt; }

  /// Takes over what a parent bounds and names. For `take_over_from_parent`.
  void inherit(call_context& parent);

  /// Tells the parent of the chain's cancellation, if it runs in the same chain. For
  /// `hand_back_to_parent`.
  void tell_parent() noexcept {
    if (options.parent->in_callers_chain_) options.parent->hear_chain(coroutine.slot());
  }

 private:
  static constexpr time_point unread = time_point::min();

  void begin_as_part();
  void read_time() const noexcept;
  bool claim_ring() noexcept override {
    return scope_.begin_ring(cancel_reason::deadline, limit.emits());
  }
  void ring() noexcept override { scope_.finish_ring(); }
  const place& place_of_alarm() const noexcept override { return home; }
  failure expired(duration overrun) const noexcept;
  void reopen_scope() noexcept;
  void close_scope() noexcept;
  bool refuse_late() noexcept;

  struct suspension;
  struct parent_link;
  template <class T>
  struct deleter {
    void operator()(T* p) const noexcept;
  };

  bool open_ = false;
  mutable time_point now_ = unread;                         // see `now`
  time_point attempt_until_ = never;                        // the limit under which it began
  std::unique_ptr<suspension, deleter<suspension>> waits_;  // made for the first wait
  std::unique_ptr<parent_link, deleter<parent_link>> parent_;
};

}  // namespace holdfast::detail

#endif
