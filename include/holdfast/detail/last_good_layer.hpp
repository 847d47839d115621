// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_LAST_GOOD_LAYER_HPP
#define HOLDFAST_DETAIL_LAST_GOOD_LAYER_HPP

#include <concepts>
#include <holdfast/detail/cache_link.hpp>
#include <holdfast/policy/fallback.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace holdfast::detail {

/// A cache as the last known good answer: keeps what everything below it answers, and gives that
/// where everything below it fails.
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
    return step::answer;
  }

  /// Keeps the answer, where it has a key. It stays the operation's whatever comes of that.
  template <class T>
  verdict settle(frame&, operation& op, std::optional<result<T>>& outcome, verdict v) const {
    static_assert(std::same_as<T, Value>,
                  "holdfast: the cache keeps values of another type than the call gives; use a "
                  "hf::cache of the call's type.");
    if (outcome->has_error()) return v;  // which the user's classifier takes for an answer
    op.start_edge_precisely();
    const auto& store = *this->link().store();
    try {
      if (const std::string key = key_for(store, op); !key.empty()) {
        this->link().store()->keep(key, outcome->assume_value(), v, op.now(), op.random());
      } else if (op.options.ledger) {
        op.options.ledger->record_miss(this->link().name(), true, op.now());
      }
    } catch (...) {
      // No memory, or a function of the user's failed: the next answer may be kept.
    }
    op.start_edge_precisely();  // the functions of the user's have taken their time
    return v;
  }

  void describe(std::string& out) const {
    fallback_rule::describe(out);
    out += ", the last good one of each key; ";
    this->link().store()->describe(out);
  }
};

}  // namespace holdfast::detail

#endif
