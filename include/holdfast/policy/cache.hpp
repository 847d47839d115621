// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_CACHE_HPP
#define HOLDFAST_POLICY_CACHE_HPP

#include <concepts>
#include <cstdint>
#include <functional>
#include <holdfast/clock.hpp>
#include <holdfast/detail/cache_layer.hpp>
#include <holdfast/detail/cache_link.hpp>
#include <holdfast/detail/last_good_layer.hpp>
#include <holdfast/policy/cache_options.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace holdfast {

/// Keeps answers by key, and makes one call out of many that ask the same at once.
///
///     hf::cache<std::string> answers{{.name = "answers", .ttl = 10min, .stale_if_error = 1h}};
///     auto guard = hf::pipeline().with(hf::timeout{2s}).with(answers);
///     auto answer = co_await guard(ask, {.cache_key = question});
///
/// A call without a key passes the cache by. A key whose answer is fresh is answered without a
/// call. Of the operations that ask for another key at the same time one, the leader, makes the
/// call, and the others wait for its outcome, each until its own deadline, whatever their
/// executors. A follower that is cancelled leaves; where the leader is cancelled, destroyed or out
/// of time, the follower that has waited longest makes the call instead. Values and failures are
/// shared alike; cancellations are neither shared nor kept, and refusals by policies are shared and
/// not kept. Shared failures and kept ones are `neutral`, faults of the request excepted.
///
/// With `stale_while_revalidate` or `refresh_ahead` the call is copied and run in the background,
/// on the executor of the operation that found the old answer, with the policies that are inside
/// the cache and beyond that operation's end: it must own, or share, what it uses. A call that
/// cannot be copied, an awaitable for example, is made by that operation itself, which then waits
/// for it.
///
/// A call must not ask the same cache for its own key: it would wait for itself.
///
/// A handle: copies share the cache, and operations keep it alive. Thread safety: safe, from any
/// thread and executor. Cost: a hit takes one short lock, allocates nothing, and copies the value;
/// a miss allocates the flight, the outcome, and the entry with its key; to follow allocates a
/// ticket and, once for each operation, a wait. `Value` must be copyable; values of one key are
/// read by several threads at once.
template <class Value>
class cache {
 public:
  static_assert(std::copy_constructible<Value>,
                "holdfast: a cache gives copies of what it keeps; keep a std::shared_ptr to what "
                "cannot be copied.");

  using value_type = Value;
  using options = cache_options<Value>;

  /// Throws `invalid_options` that lists every option out of range.
  explicit cache(options o = {})
      : store_(std::make_shared<detail::cache_store<Value>>(std::move(o))) {}

  std::string_view name() const noexcept { return store_->core.name(); }

  /// Looks for a fresh answer. Counted as a hit, and as a use.
  std::optional<Value> get(std::string_view key, time_point now = clock::now()) const {
    const auto found = store_->core.look_up(key, now, detail::cache_core::age::fresh);
    if (!found.item) return {};
    return detail::value_of_kept<Value>(*found.item);
  }

  /// Keeps an answer that came from elsewhere. A fetch that is under way answers those who wait for
  /// it, and is not kept. The user's functions are asked as they are for a call's answer.
  void put(std::string_view key, const Value& value, time_point now = clock::now()) {
    store_->keep(key, value, verdict::success, now, detail::spread(key, now));
  }

  /// Forgets a key; false if nothing was kept. A fetch that is under way answers those who wait for
  /// it, and is not kept.
  bool erase(std::string_view key) {
    const bool had = store_->core.erase(key);
    store_->tell([&](detail::cache_observer& o) { o.erased(key); });
    return had;
  }

  /// Forgets every key, as `erase` does.
  void clear() {
    store_->core.clear();
    store_->tell([](detail::cache_observer& o) { o.cleared(); });
  }

  /// Makes the layer of `.fallback(cache)`. It keeps what everything below it answers, and gives the
  /// last good answer when everything below it fails.
  ///
  ///     co_await hf::resilient(ask, {.cache_key = question}).with(hf::timeout{2s}).fallback(answers)
  ///
  /// For an operation without a key it keeps and gives nothing, and records that in the ledger.
  /// `cache_options::stale_if_error` bounds the age of an answer. Cost of a good answer with a key: one
  /// short lock, a copy of the value, and the allocations of the entry.
  auto as_fallback(fallback_options o) const {
    return detail::last_good_layer<Value>(store_, std::move(o));
  }

  /// Makes a link of a fallback chain that only reads: it answers from what is kept, as old as
  /// `stale_if_error` says. Where nothing is, the earlier failure stays. The key is the operation's,
  /// as for the layer.
  ///
  ///     pipeline.with(answers).fallback(openai_chain).fallback(answers.link())
  auto link() const { return detail::cache_link<Value>(store_); }

  /// Replaces the options, for new questions. What is kept stays, with the time it was given, as
  /// far as the new bounds allow; fetches under way go on. The name stays. The cache remains split
  /// as it was made. Throws `invalid_options`, and changes nothing, where an option is out of
  /// range.
  void reconfigure(options o) { store_->reconfigure(std::move(o)); }

  /// The counts, and what is kept. Cost: locks one part after the other.
  cache_snapshot snapshot() const { return store_->core.snapshot(); }

  const std::shared_ptr<detail::cache_store<Value>>& store() const noexcept { return store_; }

 private:
  std::shared_ptr<detail::cache_store<Value>> store_;
};

}  // namespace holdfast

#endif
