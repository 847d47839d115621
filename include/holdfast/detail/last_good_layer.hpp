// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_LAST_GOOD_LAYER_HPP
#define HOLDFAST_DETAIL_LAST_GOOD_LAYER_HPP

#include <concepts>
#include <holdfast/detail/cache_link.hpp>
#include <holdfast/policy/fallback.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace holdfast::detail {

/// A cache as the last known good answer: keeps what everything below it answers, and gives it when
/// everything below it fails.
template <class Value>
class last_good_layer : public fallback_layer<cache_link<Value>> {
 public:
  static constexpr bool typed = true;
  using typename fallback_rule::frame;

  last_good_layer(std::shared_ptr<cache_store<Value>> store, fallback_options options)
      : fallback_layer<cache_link<Value>>(
            cache_link<Value>(std::move(store), cache_core::age::last_good), std::move(options)) {}

  step leave(frame&, operation& op, verdict v) const {
    if (!is_answer(v)) [[unlikely]] return this->consider(op, v);
    this->budget().on_success();
    return has_key(op) || op.options.ledger ? step::answer : step::go;
  }

  /// Keeps the answer under the operation's key. The answer stays the outcome even if that fails.
  template <class T>
  verdict settle(frame&, operation& op, std::optional<result<T>>& outcome, verdict v) const {
    static_assert(std::same_as<T, Value>,
                  "holdfast: the cache keeps values of another type than the call gives; use a "
                  "hf::cache of the call's type.");
    if (outcome->has_error()) return v;  // which the user's classifier takes for an answer
    std::string made;
    const std::string_view key = key_for(store(), op, made);
    op.start_edge_precisely();  // the user's key function took its time
    if (key.empty()) {
      if (op.options.ledger) op.options.ledger->record_miss(this->link().name(), true, op.now());
      return v;
    }
    try {
      store().keep(key, outcome->assume_value(), v, op.now(), op.random());
    } catch (...) {
      // No memory, or a function of the user's failed. The next answer may be kept.
    }
    op.start_edge_precisely();  // so did the functions that choose and weigh
    return v;
  }

  void describe(std::string& out) const {
    fallback_rule::describe(out);
    out += ", the last good one of each key; ";
    store().describe(out);
  }

 private:
  cache_store<Value>& store() const noexcept { return *this->link().store(); }
  bool has_key(const operation& op) const noexcept {
    return !op.options.cache_key.empty() || store().makes_keys.load(std::memory_order_relaxed);
  }
};

}  // namespace holdfast::detail

#endif
