// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_CACHE_LINK_HPP
#define HOLDFAST_DETAIL_CACHE_LINK_HPP

#include <boost/asio/awaitable.hpp>
#include <concepts>
#include <cstdint>
#include <functional>
#include <holdfast/detail/cache_layer.hpp>
#include <memory>
#include <string>

namespace holdfast::detail {

/// Where there is no operation to draw a number from: a function of the key and the time, so that
/// keys that are put together do not expire together. Mixes as splitmix64 does (G. Steele, D. Lea,
/// C. Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
inline std::uint64_t spread(std::string_view key, time_point now) noexcept {
  std::uint64_t x = std::hash<std::string_view>()(key) +
                    static_cast<std::uint64_t>(now.time_since_epoch().count());
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

/// The key of the operation: its own, or one that the cache makes in `made`. Empty if there is none, or
/// if the user's function throws; an earlier failure then stays the outcome.
inline std::string_view key_for(const cache_state& state, const operation& op, std::string& made) {
  if (!op.options.cache_key.empty()) return op.options.cache_key;
  if (!state.makes_keys.load(std::memory_order_relaxed)) return {};
  try {
    made = state.make_key(op);
  } catch (...) {
    made.clear();
  }
  return made;
}

/// Gives `item`, or leaves the outcome that was there.
template <class T, class Value>
asio::awaitable<result<T>> give_or_keep(kept_ptr item, const result<T>& outcome) {
  static_assert(std::constructible_from<T, const Value&>,
                "holdfast: the cached value does not convert to the call's result.");
  if (!item) co_return outcome;
  co_return success<T>(T(value_of_kept<Value>(*item)));
}

/// A cache as a link of a fallback chain.
template <class Value>
class cache_link {
 public:
  using is_holdfast_link = void;
  static constexpr quality best = quality::cached;

  explicit cache_link(std::shared_ptr<cache_store<Value>> store,
                      cache_core::age limit = cache_core::age::stands_in)
      : store_(std::move(store)), limit_(limit) {}

  std::string_view name() const noexcept {
    return store_->core.name().empty() ? "cache" : std::string_view(store_->core.name());
  }
  const std::shared_ptr<cache_store<Value>>& store() const noexcept { return store_; }

  template <class T>
  asio::awaitable<result<T>> start(operation& op, const result<T>& outcome) const {
    const time_point now = op.time().precise_now();
    std::string made;
    const std::string_view key = key_for(*store_, op, made);
    cache_answer a;
    if (!key.empty()) a = store_->core.look_up(key, now, limit_);
    if (op.options.ledger) {
      a.item ? op.options.ledger->grade_link(a.quality)
             : op.options.ledger->record_miss(store_->core.name(), key.empty(), now);
    }
    return give_or_keep<T, Value>(std::move(a.item), outcome);
  }

 private:
  std::shared_ptr<cache_store<Value>> store_;
  cache_core::age limit_;
};

}  // namespace holdfast::detail

#endif
