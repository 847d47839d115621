// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_CALL_OPTIONS_HPP
#define HOLDFAST_CALL_OPTIONS_HPP

#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/priority.hpp>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast {

class call_context;
class ledger;

namespace detail {

/// Whether an operation is a part of another one.
enum class operation_role : std::uint8_t {
  own,                    ///< It is none, though it may run within another one's call.
  link,                   ///< The alternative of a fallback.
  hedge_attempt,          ///< What is below a hedge, for the first time.
  further_hedge_attempt,  ///< The same once more, beside or after the first.
};

}  // namespace detail

/// A few words about an operation, for the call and for listeners: tenant, request id, priority.
class tag_set {
 public:
  tag_set() = default;
  tag_set(std::initializer_list<std::pair<std::string, std::string>> tags) {
    for (const auto& [key, value] : tags) set(key, value);
  }

  /// Sets the value of the key, in place of one that it has.
  void set(std::string key, std::string value) {
    for (auto& [k, v] : tags_) {
      if (k == key) {
        v = std::move(value);
        return;
      }
    }
    tags_.emplace_back(std::move(key), std::move(value));
  }

  /// The value of the key; empty if there is none. Cost: a linear search.
  std::string_view find(std::string_view key) const noexcept {
    for (const auto& [k, v] : tags_) {
      if (k == key) return v;
    }
    return {};
  }

 private:
  std::vector<std::pair<std::string, std::string>> tags_;
};

/// What a caller may say of a single operation.
struct call_options {
  /// No attempt starts after it and no wait goes past it. `never`: no deadline of the caller's.
  time_point deadline = never;

  /// Where to write what happened, link by link and attempt by attempt. Null: nobody asks, no cost.
  /// Must outlive the operation.
  holdfast::ledger* ledger = nullptr;

  /// Whether the call may be repeated after it may have reached the service. False: `retry` repeats
  /// it only after failures that are known to have happened before, and `hedge` makes it once. The
  /// stricter of this, the pipeline's `idempotent` and the parent's counts.
  bool idempotent = true;

  /// For the library: whether the operation is a part of its parent's, and writes to its ledger.
  detail::operation_role role = detail::operation_role::own;

  /// How many permits a weighted rate limiter takes for the operation: its cost, or an estimate
  /// that `call_context::settle` corrects. Zero: none beforehand; it waits only while there is a
  /// debt.
  std::uint32_t cost = 1;

  /// How much the call matters where not everything can be served: a bulkhead's priority queue,
  /// load shedding. Empty: as the parent, or `priority::normal`.
  std::optional<holdfast::priority> priority = std::nullopt;

  /// How many permits of a bulkhead the call takes. Zero counts as one.
  unsigned weight = 1;

  /// What the call's context shows as its tags; null for none, or for the parent's. Must outlive
  /// the operation. An attempt that a detaching timeout may leave behind gets a copy.
  const tag_set* tags = nullptr;

  /// What the call asks for, for a `cache` in the stack. Empty: the call passes it by, unless the
  /// cache makes keys itself. Must outlive the operation. Links of a fallback chain have it too.
  std::string_view cache_key = {};

  /// The context of the call in which this operation runs: its deadline bounds this one, its
  /// cancellation ends it, and it is charged what this one's call settles. If it may not be
  /// repeated, this one may not either.
  call_context* parent = nullptr;

  /// On whose behalf the call is made; load shedding gives each tenant its fair share. Empty:
  /// nobody in particular. What it refers to must outlive the operation. Inherited from the parent,
  /// together with `session`, by calls that name neither.
  std::string_view tenant = {};

  /// Stands for the session or task that the call belongs to, as a hash of its id; load shedding
  /// serves all calls of a session or none. Zero: the tenant's name stands for it.
  std::uint64_t session = 0;
};

}  // namespace holdfast

#endif
