// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_BREAKER_FAMILY_HPP
#define HOLDFAST_POLICY_BREAKER_FAMILY_HPP

#include <cstdint>
#include <functional>
#include <holdfast/clock.hpp>
#include <holdfast/detail/breaker_permit.hpp>
#include <holdfast/detail/layer.hpp>
#include <holdfast/policy/circuit_breaker_options.hpp>
#include <holdfast/subscription.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

struct breaker_family_options {
  /// What each breaker of the family is like. `window_calls` must be zero. The name is the
  /// family's.
  circuit_breaker_options breaker = {};

  /// How many keys have a breaker at most. 1 to 100,000,000. When there are as many, the one of the
  /// closed that has been idle longest, of a few that are looked at, makes room for a new key.
  std::uint32_t max_keys = 100'000;

  /// A closed breaker that nobody has called for this long may be forgotten. At least one second.
  duration idle_after = std::chrono::minutes(10);
};

/// What a family of breakers knows, for dashboards.
struct breaker_family_snapshot {
  std::uint64_t keys;        ///< Keys that have a breaker now.
  std::uint64_t not_closed;  ///< Those whose circuit is not closed.
  std::uint64_t forgotten;   ///< Breakers that made room, or were idle, since construction.
  std::uint64_t unguarded;   ///< Calls that passed without a breaker, for want of room.
};

namespace detail {
class breaker_family_core;
struct breaker_family_entry;
}

/// A circuit breaker for each tenant, with options and events in common: in a pipeline the key is
/// `call_context::tenant`. Calls that name no tenant share the breaker of the empty key.
///
/// Keys may come from outside: there are never more than `max_keys` breakers. A breaker whose
/// circuit is not closed, or that has a call under way, is never forgotten; where no other can make
/// room, the calls of further keys pass unguarded, and are counted. Idle ones are forgotten, a few
/// at a time, as new keys come; `forget_idle` forgets them all.
///
/// A breaker of a family is small, some 180 bytes with a short key. It has no windows of calls,
/// counts calls that hang when they end, and its counters are not striped.
///
/// What a breaker does is as `circuit_breaker` has it. Events have the name `<family>/<key>`.
///
/// A handle: copies share the family. Thread safety: safe, from any thread and executor. Cost: a
/// hash of the key and a short lock, of which there are up to 64, for each call; mostly the two
/// looks into memory that has not been used for long. No allocation but for new keys, now and then.
class breaker_family {
 public:
  using options = breaker_family_options;

  /// Throws `invalid_options` that lists every option out of range.
  explicit breaker_family(options o = {});

  std::string_view name() const noexcept;

  /// The state of a key's breaker; closed where it has none.
  breaker_state state(std::string_view key) const;

  /// What a key's breaker knows; none where it has none.
  std::optional<breaker_snapshot> snapshot_of(std::string_view key,
                                              time_point now = clock::now()) const;

  /// Opens the circuit of a key by hand, until `reset`. False: there is no room for its breaker.
  bool isolate(std::string_view key, time_point now = clock::now());

  /// Closes the circuit of a key by hand, with nothing counted.
  void reset(std::string_view key, time_point now = clock::now());

  /// Forgets every breaker that is closed, not in use and has been idle for `idle_after`; returns
  /// how many. Cost: a look at each of them, under the locks of their parts.
  std::size_t forget_idle(time_point now = clock::now());

  /// What the family knows. Cost: as `forget_idle`.
  breaker_family_snapshot snapshot() const;

  /// Changes the options while calls run; the name stays. Every breaker keeps its state; with
  /// another `window` the counts begin anew. Keys above a lowered `max_keys` go as others come.
  /// Throws `invalid_options`, and changes nothing then.
  void reconfigure(options o);

  /// As `circuit_breaker::on_transition`, for the breakers of all keys.
  [[nodiscard]] subscription on_transition(std::function<void(const breaker_transition&)> listener);

  const std::shared_ptr<detail::breaker_family_core>& core() const noexcept { return core_; }

 private:
  std::shared_ptr<detail::breaker_family_core> core_;
};

namespace detail {

class breaker_family_layer {
 public:
  static constexpr policy_kind kind = policy_kind::circuit_breaker;
  static constexpr bool counts_over_operations = true;

  /// Gives an admission back, unjudged, where the operation ends without leaving the layer.
  struct frame {
    breaker_family_entry* entry = nullptr;
    breaker_permit permit;
    frame() = default;
    frame(const frame&) = delete;
    ~frame() {
      if (entry) [[unlikely]] give_back();
    }
    void give_back() noexcept;
  };

  explicit breaker_family_layer(const breaker_family& f) : core_(f.core()) {}

  step enter(frame& f, operation& op) const;
  step leave(frame& f, operation& op, verdict v) const;
  void describe(std::string& out) const;

 private:
  step refuse(const breaker_family_entry& entry, operation& op) const;

  std::shared_ptr<breaker_family_core> core_;
};

}  // namespace detail
}  // namespace holdfast

#endif
