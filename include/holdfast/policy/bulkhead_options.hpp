// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_BULKHEAD_OPTIONS_HPP
#define HOLDFAST_POLICY_BULKHEAD_OPTIONS_HPP

#include <cstdint>
#include <holdfast/clock.hpp>
#include <string>
#include <string_view>

namespace holdfast {

/// Who is served next, and who has to go when the queue is full.
enum class queue_order : std::uint8_t {
  /// The oldest is served next; who finds the queue full is refused.
  fifo,
  /// The newest is served next; when the queue is full the oldest has to go. Under overload the
  /// newest are those whose callers have not given up yet.
  lifo,
  /// The oldest of the most important `call_options::priority` is served next; when the queue is
  /// full a call evicts the newest of the least important, if it matters more. The evicted call is
  /// refused with `errc::shed`.
  priority,
  /// As `fifo` while the queue is empty now and then. When it has not been empty for
  /// `codel_interval`: as `lifo`, and nobody waits for longer than `codel_target`. This is how
  /// Facebook's services queue: B. Maurer, "Fail at Scale", ACM Queue 13(8), 2015, "Controlled
  /// Delay" and "Adaptive LIFO".
  codel,
};

std::string_view to_string(queue_order o) noexcept;

struct bulkhead_options {
  /// Appears in failures and `describe()`. May be empty.
  std::string name = {};

  /// How many calls may run at once; the sum of their weights, where `call_options::weight` is
  /// used. 1 to 1,000,000,000.
  unsigned limit = 25;

  /// How many operations may wait for a permit. Zero: none, a full bulkhead refuses at once. At
  /// most 1,000,000,000.
  unsigned queue = 0;

  /// The longest wait in the queue. At least zero; zero: bounded by the operation's deadline only.
  duration max_queue_time = duration::zero();

  /// Who is served next.
  queue_order order = queue_order::fifo;

  /// `queue_order::codel` only: the longest wait while the queue is empty now and then, and how
  /// long it must not have been empty to be called a standing queue. At least `codel_target`.
  duration codel_interval = std::chrono::milliseconds(100);

  /// `queue_order::codel` only: the longest wait in a standing queue. More than zero.
  duration codel_target = std::chrono::milliseconds(5);
};

/// A bulkhead at one instant.
struct bulkhead_snapshot {
  unsigned limit;
  unsigned in_use;  ///< Permits given out; above the limit for a while after it was lowered.
  unsigned waiting;         ///< Operations in the queue.
  bool closed;
  bool standing_queue;      ///< `queue_order::codel`: the queue has not been empty for an interval.
  std::uint64_t refused;    ///< Calls refused since construction, for the following reasons:
  std::uint64_t found_full; ///< no permit and no place in the queue;
  std::uint64_t expired;    ///< the longest wait in the queue was over;
  std::uint64_t evicted;    ///< had to leave a full queue to another call;
  std::uint64_t too_heavy;  ///< weighed more than the limit;
  std::uint64_t shut_out;   ///< the bulkhead was closed.
  std::uint64_t queued;     ///< Operations that were given their permit by the queue.
  /// How long those waited in it, from the wish to the resumption. The quantiles are exact to 25 %.
  duration queue_time_p50;
  duration queue_time_p99;
  duration queue_time_max;
};

}  // namespace holdfast

#endif
