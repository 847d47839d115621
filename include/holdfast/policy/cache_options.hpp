// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_CACHE_OPTIONS_HPP
#define HOLDFAST_POLICY_CACHE_OPTIONS_HPP

#include <cstddef>
#include <functional>
#include <holdfast/call_context.hpp>
#include <holdfast/clock.hpp>
#include <holdfast/failure.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

template <class Value>
struct cache_options {
  /// Appears in ledgers and `describe()`. May be empty. `reconfigure` does not change it.
  std::string name = {};

  /// How many answers are kept; the least recently used one goes first. At least 1. Up to 127 the
  /// order is exact. Above, the cache is split into up to 16 parts with a lock and an order each,
  /// and each part keeps its share of the bound.
  std::size_t max_entries = 1000;

  /// The sum of the weights that are kept, in whatever unit `weight` counts. Split as `max_entries`
  /// is: an answer heavier than its part is not kept. Zero: no bound.
  std::size_t max_weight = 0;

  /// Weighs an answer, in bytes for example. Needed with `max_weight`. Null: every answer weighs 1.
  std::function<std::size_t(std::string_view key, const Value&)> weight = nullptr;

  /// For how long an answer is fresh. At least zero; zero: nothing is kept, but calls that are made
  /// at the same time share one answer.
  duration ttl = std::chrono::seconds(60);

  /// Each answer's time is shortened by a random part of it, up to this share, so that answers that
  /// were stored together do not expire together. 0 to 1; zero: none.
  double ttl_jitter = 0.1;

  /// For how long after its time an answer is still given at once, while one operation fetches a
  /// new one in the background. At least zero; zero: off. RFC 5861, section 3.
  duration stale_while_revalidate = duration::zero();

  /// How long after its time an answer may stand in for a failure of the call. At least zero; zero:
  /// never. Unset (default): never for `.with(cache)`, forever for `.fallback(cache)`. RFC 5861,
  /// section 4.
  std::optional<duration> stale_if_error = std::nullopt;

  /// The share of its time after which a fresh answer that is asked for is fetched again in the
  /// background, so that what is often asked for never expires. 0 to 1; zero: off.
  double refresh_ahead = 0;

  /// The deadline of a fetch in the background, which has no caller whose deadline could bound it.
  /// At least 1 ns.
  duration refresh_timeout = std::chrono::seconds(30);

  /// Minimum wait after a failed background fetch before the next one for the same key. Doubles with
  /// each consecutive failure, up to `max_failed_refresh_wait`. The old answer is given meanwhile. At
  /// least zero; zero: no wait.
  duration failed_refresh_wait = std::chrono::seconds(1);

  /// Maximum wait after failed background fetches. At least `failed_refresh_wait`.
  duration max_failed_refresh_wait = std::chrono::minutes(1);

  /// For how long a failure of the call is given again without a call. Refusals by policies,
  /// cancellations and deadlines are never kept. At least zero; zero: failures are not kept.
  duration negative_ttl = duration::zero();

  /// Which failures `negative_ttl` is for. Null: all that it can be for.
  std::function<bool(const failure&)> store_failure_if = nullptr;

  /// Which answers are kept. Null: every one that the classifier takes for an answer.
  std::function<bool(const Value&)> store_if = nullptr;

  /// The key of a call that brings none with `call_options::cache_key`, from what its context says:
  /// its tags. Empty: the call passes the cache by. Null: only keys that are brought count.
  std::function<std::string(const call_context&)> key = nullptr;

  /// Whether the cache keeps one answer for all calls that bring no key. False (default): such calls
  /// pass the cache by, because answers to different questions must not mix. Excludes `key`.
  bool one_answer = false;
};

}  // namespace holdfast

#endif
