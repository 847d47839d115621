// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_CACHE_CORE_HPP
#define HOLDFAST_DETAIL_CACHE_CORE_HPP

#include <cstddef>
#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/detail/flight.hpp>
#include <holdfast/detail/kept.hpp>
#include <holdfast/verdict.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

/// What a cache has done since its construction, and holds now.
struct cache_snapshot {
  std::size_t entries = 0;
  std::size_t weight = 0;
  std::size_t flights = 0;          ///< Keys that are being fetched.
  std::uint64_t hits = 0;           ///< Fresh answers given.
  std::uint64_t stale_hits = 0;     ///< Answers past their time given, for whatever reason.
  std::uint64_t negative_hits = 0;  ///< Kept failures given.
  std::uint64_t misses = 0;         ///< Operations that had to make the call.
  std::uint64_t shared = 0;         ///< Operations that waited for another one's call.
  std::uint64_t refreshes = 0;      ///< Fetches begun while a kept answer was given.
  std::uint64_t stored = 0;
  std::uint64_t evicted = 0;        ///< Answers that made room for others.
  std::uint64_t too_heavy = 0;      ///< Answers heavier than the bound.
};

namespace detail {

/// The numbers among the options.
struct cache_rules {
  std::size_t max_entries = 1;
  std::size_t max_weight = 0;
  duration ttl = duration::zero();
  double ttl_jitter = 0;
  duration stale_while_revalidate = duration::zero();
  std::optional<duration> stale_if_error = std::nullopt;
  double refresh_ahead = 0;
  duration failed_refresh_wait = duration::zero();
  duration max_failed_refresh_wait = duration::zero();
  duration negative_ttl = duration::zero();
};

/// What a cache knows of a key.
struct cache_answer {
  kept_ptr item;
  holdfast::quality quality = holdfast::quality::cached;
  std::shared_ptr<detail::flight> flight;
  bool stored = false;  // of a landing: the table took it
};

/// What the leader of a flight brings back.
struct cache_landing {
  kept_ptr item;
  std::size_t weight = 1;
  bool store = false;
};

/// The table, the order of use and the flights, without the values' type: a pure function of time.
///
/// Thread safety: safe. A key's part of the table is locked while it is looked up; nothing of the
/// user's runs and nothing of the user's is destroyed meanwhile.
class cache_core {
 public:
  cache_core(std::string name, const cache_rules& rules);
  ~cache_core();
  cache_core(const cache_core&) = delete;

  enum class found : std::uint8_t {
    hit,          ///< `item` is the answer.
    refresh,      ///< `item` is the answer, and the asker leads `flight` to fetch a new one.
    lead,         ///< No answer: the asker leads `flight`.
    follow,       ///< No answer yet: another operation leads `flight`.
  };
  /// Asks on behalf of an operation. Allocates where the asker is to lead, and nothing otherwise.
  found ask(std::string_view key, time_point now, cache_answer& answer);

  /// How old an answer may be.
  enum class age : std::uint8_t {
    fresh,      ///< Within its time.
    stands_in,  ///< Or as long after it as it may stand in for a failure.
    last_good,  ///< Or of any age, unless `stale_if_error` bounds it.
  };
  /// Looks for an answer of that age. Null if there is none; a kept failure is none.
  cache_answer look_up(std::string_view key, time_point now, age limit);

  /// Keeps an answer. A fetch of the key that is under way is older, and will not be kept.
  bool put(std::string_view key, cache_landing landing, time_point now, std::uint64_t random);

  /// Ends a flight with what its leader has: stores it, or finds a kept answer that stands in for a
  /// failure; that one is given to the followers, and returned. Null if the outcome stays.
  cache_answer land(flight& f, cache_landing landing, time_point now, std::uint64_t random);

  /// Ends a leader's part without an outcome that concerns anybody else.
  void hand_over(flight& f) noexcept;
  /// Ends a follower's.
  void leave(flight& f, flight_seat& seat) noexcept;

  /// Forgets a key. A fetch under way answers those who wait for it, and is not kept.
  bool erase(std::string_view key);
  void clear();

  void reconfigure(const cache_rules& rules);
  cache_snapshot snapshot() const;
  const std::string& name() const noexcept { return name_; }

 private:
  struct entry;
  struct part;

  part& part_of(std::size_t hash) const noexcept;
  void forget(flight& f) noexcept;

  const std::string name_;
  const std::size_t parts_;  // a power of two
  const std::unique_ptr<part[]> table_;
};

}  // namespace detail
}  // namespace holdfast

#endif
