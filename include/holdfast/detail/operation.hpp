// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_OPERATION_HPP
#define HOLDFAST_DETAIL_OPERATION_HPP

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <holdfast/call_context.hpp>
#include <holdfast/call_options.hpp>
#include <holdfast/detail/deadline_alarm.hpp>
#include <holdfast/detail/inheritance.hpp>
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
  fault,    ///< Down: as if the call had been made and failed with `operation::injected`.
  wait,     ///< Down: wait for a permit until `operation::wait_until`.
  again,    ///< Up: run the layers below again, at `operation::wait_until`.
  replace,  ///< Up: replace the outcome by that of the layer's link.
  answer,   ///< Down: the layer has the answer. Up: it looks at the outcome, and may replace it.
};

struct detach_state;

/// The deadline in force and what happens at it. Nested timeouts save and restore it.
struct deadline_scope {
  time_point at = never;
  errc code = errc::total_timeout;
  /// Counts the timeouts so far that allow no longer than this deadline does.
  std::uint8_t own = 0;
  /// When, and by which timeout's leave, a call that does not end is left behind; null: never.
  time_point detach_at = never;
  detach_state* detach = nullptr;
};

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
  operation(const asio::any_io_executor& executor, const call_options& o)
      : operation(time_service::locate(executor), o) {}
  ~operation() { disarm(); }

  time_service& time() const noexcept { return *time_; }

  /// The time of this edge: the way down to the call, or back from it. Read when first asked for,
  /// and then the same for all layers.
  time_point now() const noexcept {
    if (now_ == unread) read_time();
    return now_;
  }
  template <bool ReadTime>
  void start_edge() noexcept {
    now_ = ReadTime ? time_->now() : unread;
  }
  void start_edge_precisely() noexcept { now_ = time_->precise_now(); }

  std::uint64_t random() const noexcept { return time_->random(); }

  /// Whether the caller, or the call that this operation is part of, wants no more of it.
  bool caller_cancelled() const noexcept {
    return reason_ == cancel_reason::caller || !!coroutine.cancelled() ||
           (options.parent && options.parent->cancelled());
  }

  /// Whether something other than the caller may have to cancel the call.
  bool timed() const noexcept { return limit.at != never; }

  /// Opens an attempt: false, with `refusal` set, where no time is left or the caller has gone. One
  /// that a layer made fail by its deadline has begun in time.
  [[gnu::always_inline]] bool begin_attempt(bool failed_already = false) noexcept {
    deadline_ = limit.at;
    if (caller_cancelled()) [[unlikely]] return refuse({.code = errc::cancelled});
    if (deadline_ != never && now() >= deadline_ && !failed_already) [[unlikely]] {
      return refuse_late();
    }
    reason_ = cancel_reason::none;
    error = nullptr;
    kept_verdict.reset();
    cut_short = had_its_time = false;
    if (auto left = signal_.slot(); left.has_handler()) [[unlikely]] left.clear();
    return true;
  }

  /// Arms the deadline of an attempt that runs in the caller's chain.
  void arm() noexcept {
    if (deadline_ != never) unarmed_ = this;
  }
  void arm_on(const asio::any_io_executor& strand) {
    if (deadline_ != never) deadline_alarm::start_on(strand, *time_, deadline_);
  }
  void disarm() noexcept {
    unarmed_ = nullptr;
    deadline_alarm::stop(*time_);
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

  failure timeout_failure() const { return failure(limit.code, policy_kind::timeout, {}); }
  failure refusal_failure() const {
    return {refused.code, refused.policy,
            refused.policy_name ? std::string_view(*refused.policy_name) : std::string_view(),
            refused.retry_after < duration::zero() ? std::nullopt
                                                   : std::optional(refused.retry_after)};
  }

  /// Cuts the connection to the parent's scope. Called on every end but that of the whole chain.
  [[gnu::always_inline]] void close(bool answered) noexcept {
    if (options.parent) [[unlikely]] hand_back_to_parent(*this);
    if (options.ledger && !is_part()) [[unlikely]] options.ledger->end(answered);
  }

  /// Opens the wait of a bulkhead's queue or of a retry's delay.
  turn& prepare_wait();

  /// Waits until `wait_until` or until the turn comes. Not started if the caller has cancelled.
  static asio::awaitable<void> wait(operation& op);

  /// Closes the wait and tells how it ended. Throws `std::bad_alloc` where it could not begin.
  wait_end finish_wait();

  // An attempt on a chain of its own: the caller's cancellation is passed on by `cancel`.
  template <class Cancel>
  void pass_cancellation(asio::cancellation_slot caller, Cancel cancel) {
    listen_to(caller);
    signal_.slot().assign(std::move(cancel));
  }
  void attempt_over(bool timed_out_elsewhere) noexcept {
    signal_.slot().clear();
    if (timed_out_elsewhere && reason_ == cancel_reason::none) reason_ = cancel_reason::deadline;
  }

  // For the ledger; nothing where the caller did not ask for one.
  void record_attempt(unsigned attempt, time_point started, verdict v,
                      boost::system::error_code code) noexcept;
  void record_refusal() noexcept;
  void record_link(time_point started, verdict v, const failure* f) noexcept;

  const call_options& options;
  affinity serialised_by;
  /// The caller's cancellation state; renewed before each use, since the call may reset it.
  asio::cancellation_state coroutine;

  deadline_scope limit;
  time_point wait_until;
  detail::refusal refused;
  failure injected;
  /// The failure that is on its way up, if the outcome is one.
  const failure* error = nullptr;
  /// The verdict of an earlier attempt, where that attempt's outcome outlives a later refusal.
  std::optional<verdict> kept_verdict;
  /// The service's hint, from the failure or from the classifier; negative if there is none.
  duration retry_after{-1};
  unsigned attempts_started = 0;
  /// Calls that were made for this operation by its links.
  unsigned made_elsewhere = 0;
  /// The time that this operation has spent in queues.
  duration queued{0};
  /// Whether the call can be made again in the background, beyond this operation.
  bool detachable = false;
  /// See `of_service`.
  bool cut_short = false;
  /// An attempt below a hedge ended by the deadline around the hedge and was not cut short by it.
  bool had_its_time = false;

  /// What the pipeline says; the stricter counts.
  void restrict_repetition(bool idempotent) noexcept { idempotent_ &= idempotent; }

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

 private:
  static constexpr time_point unread = time_point::min();

  operation(time_service::place where, const call_options& o)
      : call_context(*where.service), options(o), serialised_by(where.serialised_by) {
    attempt_ = 1;
    tags_ = o.tags;
    caller_ = &o;
    priority_ = o.priority.value_or(holdfast::priority::normal);
    idempotent_ = o.idempotent;
    limit.at = o.deadline;
    if (o.parent || o.ledger) [[unlikely]] open();
  }

  void open();
  void read_time() const noexcept;
  void ring() override;
  bool refuse_late() noexcept;

  mutable time_point now_ = unread;  // see `now`
  struct delete_turn {
    void operator()(turn* t) const noexcept;
  };
  std::unique_ptr<turn, delete_turn> turn_;  // made when the operation first has to wait
};

}  // namespace holdfast::detail

#endif
