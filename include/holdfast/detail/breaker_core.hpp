// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_BREAKER_CORE_HPP
#define HOLDFAST_DETAIL_BREAKER_CORE_HPP

#include <functional>
#include <holdfast/clock.hpp>
#include <holdfast/detail/breaker_history.hpp>
#include <holdfast/detail/breaker_machine.hpp>
#include <holdfast/detail/breaker_side.hpp>
#include <holdfast/detail/ring_place.hpp>
#include <holdfast/detail/striped_counts.hpp>
#include <holdfast/detail/sync.hpp>
#include <memory>
#include <string>

namespace holdfast::detail {

/// What a breaker for many threads keeps: counters in stripes, everything in place.
class full_breaker_store {
 public:
  explicit full_breaker_store(circuit_breaker_options o, time_point born = clock::now());

  breaker_rules& rules() const noexcept { return rules_; }
  sync::mutex& mutex() const noexcept { return mutex_; }

  [[gnu::always_inline]] bool add_good(time_point now) noexcept {
    if (ring_.use([](call_ring& ring) { ring.add(call_kind::good); })) [[unlikely]] {
      return true;  // to look at its totals is cheap
    }
    return counts_.add_good(rules_.clock.period(now));
  }
  void add(call_kind k, time_point now) noexcept;
  window_counts counts(time_point now) const noexcept;
  void clear(std::uint64_t generation) noexcept;
  void settle(time_point now) noexcept { counts_.settle(rules_.clock.period(now)); }

  bool enter(std::uint64_t generation, time_point now, unsigned& lane) noexcept {
    return counts_.enter(generation, span(now), lane);
  }
  void leave_flight(std::uint64_t generation, std::int64_t start, unsigned lane) noexcept {
    counts_.leave(generation, rules_.span(start), lane);
  }
  std::uint64_t hanging(std::uint64_t generation, time_point now) const noexcept {
    return rules_.measures_time() ? counts_.late(generation, span(now)) : 0;
  }

  void count_refusal() noexcept { counts_.count_refusal(); }
  std::uint64_t refused() const noexcept { return counts_.refused(); }

  breaker_side& side() noexcept { return side_; }
  const breaker_side* peek_side() const noexcept { return &side_; }
  void settle_side(breaker_state) noexcept {}
  void record(breaker_state from, breaker_state to, time_point now) noexcept {
    history_.change(from, to, now);
  }
  void fill(breaker_snapshot& s, time_point now) const noexcept { history_.fill(s, now); }
  std::string event_name() const { return rules_.name(); }

 protected:
  /// Moves what is counted over to another kind or size of window.
  void change_window(const circuit_breaker_options& o, time_point now);

  /// Forgets which calls are in flight; those that are no longer count while they hang.
  void forget_flights(std::uint64_t generation) noexcept { counts_.clear_in_flight(generation); }

 private:
  std::int64_t span(time_point now) const noexcept {
    return rules_.span(now.time_since_epoch().count() & breaker_permit::kept_time);
  }

  mutable breaker_rules rules_;
  striped_counts counts_;
  ring_place ring_;  // where the last so many calls are counted
  mutable sync::mutex mutex_;
  breaker_side side_;
  breaker_history history_;
};

extern template class breaker_machine<full_breaker_store>;

/// The state of a named circuit breaker.
class breaker_core : public breaker_machine<full_breaker_store> {
 public:
  using breaker_machine<full_breaker_store>::breaker_machine;

  const std::string& name() const noexcept { return rules().name(); }
  void reconfigure(circuit_breaker_options o, time_point now);
  subscription on_transition(std::function<void(const breaker_transition&)> listener);
  void describe(std::string& out) const { describe_breaker(out, *rules().options()); }
};

}  // namespace holdfast::detail

#endif
