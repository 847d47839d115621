// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_TIMEOUT_HPP
#define HOLDFAST_POLICY_TIMEOUT_HPP

#include <boost/asio/cancellation_type.hpp>
#include <holdfast/clock.hpp>
#include <holdfast/detail/detach_state.hpp>
#include <holdfast/detail/layer.hpp>
#include <holdfast/detail/overrun_counters.hpp>
#include <holdfast/detail/timeout_terms.hpp>
#include <holdfast/policy/timeout_snapshot.hpp>
#include <memory>
#include <string>

namespace holdfast {

/// What a timeout does with a call that does not end when it is cancelled.
enum class timeout_mode : std::uint8_t {
  cooperative,  ///< Waits for it: nothing is ever left running. The default.
  detach,       ///< Leaves it running on a chain of its own and returns to the caller.
};

/// Limits the time of everything below it in the stack.
///
/// Below a `retry` it limits each attempt (`errc::attempt_timeout`); around one it limits all
/// attempts and the waits between them (`errc::total_timeout`). When the time is up, the timeout
/// cancels the call. It passes on a value that the call still returns, and a failure that is not
/// that cancellation. Never fires early; how late: docs/timeout.md. What it counts: `pipeline::timeouts`.
struct timeout {
  /// The time allowed. More than zero.
  duration after = std::chrono::seconds(30);

  timeout_mode mode = timeout_mode::cooperative;

  /// Detach only: how long to wait for the cancelled call to end before leaving it. Zero: not at
  /// all. At least zero.
  duration grace = duration::zero();

  /// Detach only: how many abandoned calls of this policy may run at once. When there are as many,
  /// new calls are refused with `errc::too_many_detached`, and calls that are under way already are
  /// waited for as if cooperative. Temporary pipelines and chains of one type count together: those of
  /// one place in the program, if the call is a lambda. At least 1.
  unsigned max_detached = 64;

  /// The type of cancellation that the timeout emits: any but `none`. The default is that of
  /// `asio::cancel_after`, which every operation hears that can be cancelled at all. Others are for
  /// clients that close a shared connection on `terminal`; an operation that does not support them
  /// is not cancelled.
  boost::asio::cancellation_type_t cancellation = boost::asio::cancellation_type::terminal;

  /// Appears in failures (its first 31 characters), `describe` and `pipeline::timeouts`. May be
  /// empty.
  std::string name = {};
};

namespace detail {

class timeout_layer {
 public:
  static constexpr policy_kind kind = policy_kind::timeout;
  struct frame {
    deadline_scope outer;
  };

  timeout_layer(const timeout& options, bool around_attempts);

  step enter(frame& f, operation& op) const noexcept {
    if (detach_ && detach_->full()) [[unlikely]] {
      return refuse(op);
    }
    f.outer = op.limit;
    const time_point deadline = saturating_add(op.now(), terms_.after);
    if (deadline < op.limit.at) {
      op.limit.at = deadline;
      op.limit.code = terms_.code;
      op.limit.set_emits(terms_.cancellation);
      op.limit.by = &terms_;
      ++op.limit.own;
    } else if (measures_as_well(op.limit.at, deadline, terms_.after)) {
      ++op.limit.own;
    }
    // A nearer deadline, of the caller or of a timeout around this one, leaves the call as well.
    if (detach_) [[unlikely]] take_leave(op);
    return step::go;
  }

  step leave(frame& f, operation& op, verdict) const noexcept {
    // Where an outer deadline is nearer, the one that set it sees it pass.
    if (op.limit.by == &terms_ && op.now() >= op.limit.at) [[unlikely]] note_expiry(op);
    if (op.error) [[unlikely]] op.note_deadline(op.limit.own != f.outer.own);
    op.limit = f.outer;
    return step::go;
  }

  duration after() const noexcept { return terms_.after; }
  bool detaches() const noexcept { return detach_ != nullptr; }
  /// Makes a temporary that has not run yet count its abandoned calls in `running`. Changes nothing if
  /// a stored pipeline shares the state, and so bounds it.
  void share_bound(sync::atomic<unsigned>& running) noexcept {
    if (detach_ && detach_.use_count() == 1) detach_->running = &running;
  }
  timeout_snapshot snapshot() const;
  void describe(std::string& out) const;

 private:
  step refuse(operation& op) const noexcept;
  void take_leave(operation& op) const noexcept;
  void note_expiry(operation& op) const noexcept;

  timeout_terms terms_;
  duration grace_;
  std::shared_ptr<detach_state> detach_;
  mutable overrun_counters overruns_;
};

}  // namespace detail
}  // namespace holdfast

#endif
