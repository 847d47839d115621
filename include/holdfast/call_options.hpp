// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_CALL_OPTIONS_HPP
#define HOLDFAST_CALL_OPTIONS_HPP

#include <holdfast/clock.hpp>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast {

class call_context;
class ledger;

/// A few words about an operation, for the call and for listeners: tenant, request id, priority.
class tag_set {
 public:
  tag_set() = default;
  tag_set(std::initializer_list<std::pair<std::string, std::string>> tags) : tags_(tags) {}

  void set(std::string key, std::string value) {
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
  /// it only after failures that are known to have happened before.
  bool idempotent = true;

  /// What the call's context shows as its tags; null for none, or for the parent's. Must outlive the
  /// operation. An attempt that a detaching timeout may leave behind gets a copy.
  const tag_set* tags = nullptr;

  /// What the call asks for, for a `cache` in the stack. Empty: the call passes it by, unless the
  /// cache makes keys itself. Must outlive the operation. Links of a fallback chain have it too.
  std::string_view cache_key = {};

  /// The context of the call in which this operation runs: its deadline bounds this one, its
  /// cancellation ends it.
  call_context* parent = nullptr;

  /// For the library: the operation is a link of its parent's, and writes to the parent's ledger.
  bool is_link = false;
};

}  // namespace holdfast

#endif
