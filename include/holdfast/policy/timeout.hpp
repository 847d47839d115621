// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_TIMEOUT_HPP
#define HOLDFAST_POLICY_TIMEOUT_HPP

#include <holdfast/clock.hpp>
#include <holdfast/detail/detach_state.hpp>
#include <holdfast/detail/layer.hpp>
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
/// Below a `retry` it limits each attempt (`errc::attempt_timeout`); around one it limits all of
/// them and the waits between them (`errc::total_timeout`). When the time is up the call is
/// cancelled; a value that it still returns is passed on, and so is any failure of its own that is
/// not the cancellation. Never fires early: 100 ms and more are counted from two ticks after the
/// kernel's last one, whose time costs less to read.
struct timeout {
  /// The time allowed. More than zero.
  duration after = std::chrono::seconds(30);

  timeout_mode mode = timeout_mode::cooperative;

  /// Detach only: how long to wait for the cancelled call to end before leaving it. Zero: not at
  /// all. At least zero.
  duration grace = duration::zero();

  /// Detach only: how many abandoned calls of this policy may run at once. When there are as many,
  /// new calls are refused with `errc::too_many_detached`, and calls that are under way already are
  /// waited for as if cooperative. At least 1.
  unsigned max_detached = 64;
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
    if (detach_ && detach_->running.load(std::memory_order_relaxed) >= detach_->limit)
        [[unlikely]] {
      return refuse(op);
    }
    f.outer = op.limit;
    // A cheap clock reading lies up to its resolution in the past. Long timeouts add that, short
    // ones are worth a precise reading.
    const time_point from = options_.after >= precise_below ? op.now() + op.time().resolution()
                                                            : op.time().precise_now();
    const time_point deadline = saturating_add(from, options_.after);
    if (deadline < op.limit.at) {
      op.limit.at = deadline;
      op.limit.code = code_;
      ++op.limit.own;
    } else if (measures_as_well(op.limit.at, deadline, options_.after)) {
      ++op.limit.own;
    }
    if (detach_ && deadline < op.limit.detach_at) [[unlikely]] {
      op.limit.detach_at = deadline;
      op.limit.detach = detach_.get();
    }
    return step::go;
  }

  step leave(frame& f, operation& op, verdict) const noexcept {
    if (op.error) [[unlikely]] op.note_deadline(op.limit.own != f.outer.own);
    op.limit = f.outer;
    return step::go;
  }

  duration after() const noexcept { return options_.after; }
  bool detaches() const noexcept { return detach_ != nullptr; }
  void describe(std::string& out) const;

 private:
  static constexpr duration precise_below = std::chrono::milliseconds(100);

  step refuse(operation& op) const noexcept;

  timeout options_;
  errc code_;
  std::shared_ptr<detach_state> detach_;
};

}  // namespace detail
}  // namespace holdfast

#endif
