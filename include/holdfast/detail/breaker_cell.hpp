// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_BREAKER_CELL_HPP
#define HOLDFAST_DETAIL_BREAKER_CELL_HPP

#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/detail/breaker_machine.hpp>
#include <holdfast/detail/breaker_side.hpp>
#include <holdfast/detail/failure_window.hpp>
#include <holdfast/detail/sync.hpp>
#include <string>

namespace holdfast::detail {

/// What a breaker of a keyed family keeps: as little as it can. The rules belong to the family, the
/// lock to a pool; what is needed only while the circuit is not closed is allocated then.
///
/// Periods are kept in 31 bits: they differ by less than half of that wherever it matters.
class compact_breaker_store {
 public:
  /// The rules must outlive the breaker.
  explicit compact_breaker_store(breaker_rules& rules) noexcept : rules_(&rules) {}
  compact_breaker_store(const compact_breaker_store&) = delete;
  ~compact_breaker_store() { delete side_; }

  breaker_rules& rules() const noexcept { return *rules_; }
  sync::mutex& mutex() const noexcept;

  bool add_good(time_point now) noexcept {
    const std::int64_t period = rules_->clock.period(now);
    window_.add(call_kind::good, period);
    const std::uint32_t bad = last_bad_.load(std::memory_order_relaxed);
    return bad != none &&
           static_cast<std::int32_t>(kept(period) - bad) < window_clock::buckets &&
           settled_.load(std::memory_order_relaxed) != kept(period);
  }
  void add(call_kind k, time_point now) noexcept;
  window_counts counts(time_point now) const noexcept;
  void clear(std::uint64_t generation) noexcept;
  void settle(time_point now) noexcept {
    settled_.store(kept(rules_->clock.period(now)), std::memory_order_relaxed);
  }

  // It keeps no list of the calls in flight: a call that hangs counts when it ends.
  bool enter(std::uint64_t, time_point, unsigned&) noexcept { return false; }
  void leave_flight(std::uint64_t, std::int64_t, unsigned) noexcept {}
  std::uint64_t hanging(std::uint64_t, time_point) const noexcept { return 0; }

  void count_refusal() noexcept { refused_.fetch_add(1, std::memory_order_relaxed); }
  std::uint64_t refused() const noexcept { return refused_.load(std::memory_order_relaxed); }

  breaker_side& side() {
    if (!side_) side_ = new breaker_side;
    return *side_;
  }
  const breaker_side* peek_side() const noexcept { return side_; }
  void settle_side(breaker_state s) noexcept;
  void record(breaker_state, breaker_state, time_point) noexcept {}
  void fill(breaker_snapshot&, time_point) const noexcept {}
  std::string event_name() const {
    return rules_->name_of ? rules_->name_of(this) : rules_->name();
  }

 private:
  static constexpr std::uint32_t none = 0xffff'ffffu;
  static std::uint32_t kept(std::int64_t period) noexcept {
    return static_cast<std::uint32_t>(period) & 0x7fff'ffffu;
  }

  breaker_rules* const rules_;
  breaker_side* side_ = nullptr;  // under the lock
  packed_window window_;
  sync::atomic<std::uint32_t> last_bad_{none};  // the period of the last bad call
  sync::atomic<std::uint32_t> settled_{none};
  sync::atomic<std::uint32_t> refused_{0};
};

extern template class breaker_machine<compact_breaker_store>;

/// The state of one breaker of a keyed family: two cache lines, to be held by value.
///
/// What it has not, compared with a named breaker: windows of calls instead of time, calls in
/// flight that count while they hang, the time spent in each state, and counters in stripes.
using breaker_cell = breaker_machine<compact_breaker_store>;

}  // namespace holdfast::detail

#endif
