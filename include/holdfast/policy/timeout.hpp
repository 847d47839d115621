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
/// not the cancellation. Never fires early.
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
    if (detach_ && detach_->full()) [[unlikely]] {
      return refuse(op);
    }
    f.outer = op.limit;
    const time_point deadline = saturating_add(op.now(), options_.after);
    if (deadline < op.limit.at) {
      op.limit.at = deadline;
      op.limit.code = code_;
    }
    // A nearer deadline, of the caller or of a timeout around this one, leaves the call as well.
    if (detach_ && op.limit.at < op.limit.detach_at) [[unlikely]] {
      op.limit.detach_at = op.limit.at;
      op.limit.detach = detach_.get();
    }
    return step::go;
  }

  step leave(frame& f, operation& op, verdict) const noexcept {
    op.limit = f.outer;
    return step::go;
  }

  duration after() const noexcept { return options_.after; }
  bool detaches() const noexcept { return detach_ != nullptr; }
  void describe(std::string& out) const;

 private:
  step refuse(operation& op) const noexcept;

  timeout options_;
  errc code_;
  std::shared_ptr<detach_state> detach_;
};

}  // namespace detail
}  // namespace holdfast

#endif
