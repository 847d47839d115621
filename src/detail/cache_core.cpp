// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <bit>
#include <boost/container/small_vector.hpp>
#include <holdfast/detail/cache_core.hpp>
#include <holdfast/detail/sync.hpp>
#include <holdfast/detail/uniform.hpp>
#include <unordered_map>
#include <utility>

namespace holdfast::detail {

namespace {

/// A share of up to one of a duration, which may be the longest there is.
duration share_of(duration whole, double share) noexcept {
  const double part = static_cast<double>(whole.count()) * share;
  if (part >= static_cast<double>(duration::max().count())) return whole;
  return duration(static_cast<duration::rep>(part));
}

/// A key together with its hash, which is computed once for each question.
struct hashed_key {
  std::string_view text;
  std::size_t hash;
  explicit hashed_key(std::string_view t) noexcept
      : text(t), hash(std::hash<std::string_view>()(t)) {}
  hashed_key(std::string_view t, std::size_t h) noexcept : text(t), hash(h) {}
};

struct key_hash {
  using is_transparent = void;
  // Not noexcept: libstdc++ then keeps each key's hash instead of computing it again as it walks
  // a bucket.
  std::size_t operator()(const std::string& k) const { return std::hash<std::string_view>()(k); }
  std::size_t operator()(const hashed_key& k) const { return k.hash; }
};

struct key_equal {
  using is_transparent = void;
  bool operator()(const auto& a, const auto& b) const noexcept { return text(a) == text(b); }
  static std::string_view text(const std::string& k) noexcept { return k; }
  static std::string_view text(const hashed_key& k) noexcept { return k.text; }
};

/// What is destroyed once the lock is released.
using dead_items = boost::container::small_vector<kept_ptr, 4>;

}  // namespace

/// What is known of a key: an answer, a flight, or both.
struct cache_core::entry {
  kept_ptr item;  // linked into the order of use while there is one
  time_point refresh_at{};
  time_point fresh_until{};
  time_point refresh_not_before = time_point::min();
  unsigned failed_refreshes = 0;  // in a row
  std::size_t weight = 0;
  std::shared_ptr<detail::flight> flight;
  entry* newer = nullptr;
  entry* older = nullptr;
  const std::string* key = nullptr;

  bool is_value() const noexcept { return item && !item->is_failure(); }
};

struct alignas(64) cache_core::part {
  sync::mutex mutex;
  cache_rules rules;  // this part's share
  std::unordered_map<std::string, entry, key_hash, key_equal> map;
  entry* newest = nullptr;
  entry* oldest = nullptr;
  cache_snapshot counts;  // `entries` and `weight` are kept up to date

  entry* find(const hashed_key& key) {
    const auto i = map.find(key);
    return i == map.end() ? nullptr : &i->second;
  }
  entry& find_or_make(const hashed_key& key) {
    if (entry* e = find(key)) return *e;
    const auto i = map.try_emplace(std::string(key.text)).first;
    i->second.key = &i->first;
    return i->second;
  }

  void link(entry& e) noexcept {
    e.older = newest;
    e.newer = nullptr;
    (newest ? newest->newer : oldest) = &e;
    newest = &e;
  }
  void unlink(entry& e) noexcept {
    (e.newer ? e.newer->older : newest) = e.older;
    (e.older ? e.older->newer : oldest) = e.newer;
  }
  void touch(entry& e) noexcept {
    if (newest == &e) return;
    unlink(e);
    link(e);
  }

  /// Takes the answer out of an entry; the entry goes with it unless it is being fetched.
  void drop(entry& e, dead_items& dead) {
    if (e.item) {
      dead.push_back(std::move(e.item));
      unlink(e);
      --counts.entries;
      counts.weight -= e.weight;
    }
    if (!e.flight) map.erase(map.find(hashed_key(*e.key)));
  }

  void shrink(dead_items& dead) {
    while (oldest && (counts.entries > rules.max_entries ||
                      (rules.max_weight != 0 && counts.weight > rules.max_weight))) {
      ++counts.evicted;
      drop(*oldest, dead);
    }
  }

  bool store(entry& e, cache_landing&& landing, time_point now, std::uint64_t random,
             dead_items& dead) {
    const duration longest = landing.item->is_failure() ? rules.negative_ttl : rules.ttl;
    if (longest == duration::zero()) return drop(e, dead), false;
    if (rules.max_weight != 0 && landing.weight > rules.max_weight) {
      ++counts.too_heavy;
      return drop(e, dead), false;
    }
    const duration spread = share_of(longest, rules.ttl_jitter);
    // Never all of it, or nothing would be kept.
    const duration lasts =
        std::max(longest - uniform(duration::zero(), spread, random), duration(1));
    if (e.item) {
      dead.push_back(std::move(e.item));
      counts.weight -= e.weight;
      touch(e);
    } else {
      link(e);
      ++counts.entries;
    }
    e.item = std::move(landing.item);
    e.weight = landing.weight;
    counts.weight += e.weight;
    ++counts.stored;
    e.fresh_until = saturating_add(now, lasts);
    e.failed_refreshes = 0;
    e.refresh_not_before = time_point::min();
    e.refresh_at =
        rules.refresh_ahead > 0 && !e.item->is_failure()
            ? saturating_add(now, share_of(lasts, rules.refresh_ahead))
            : e.fresh_until;
    shrink(dead);
    return true;
  }

  /// Puts the next refresh off. Called when a refresh begins as well as when it fails: if its leader is
  /// destroyed, nothing tells the cache.
  void put_off_refresh(entry& e, time_point now) const noexcept {
    duration wait = rules.failed_refresh_wait;
    for (unsigned n = 1; n < e.failed_refreshes && wait < rules.max_failed_refresh_wait; ++n) {
      wait = wait < rules.max_failed_refresh_wait / 2 ? 2 * wait : rules.max_failed_refresh_wait;
    }
    if (wait > duration::zero()) e.refresh_not_before = saturating_add(now, wait);
  }

  /// Whether the answer may stand in for a failure.
  bool stands_in(const entry& e, time_point now) const noexcept {
    return e.is_value() &&
           now < saturating_add(e.fresh_until,
                                std::max(rules.stale_if_error.value_or(duration::zero()),
                                         rules.stale_while_revalidate));
  }
  bool is_usable(const entry& e, time_point now, cache_core::age limit) const noexcept {
    if (now < e.fresh_until) return true;
    if (limit == cache_core::age::fresh) return false;
    return (limit == cache_core::age::last_good && !rules.stale_if_error) || stands_in(e, now);
  }
  void give(entry& e, time_point now, cache_answer& answer) noexcept {
    touch(e);
    answer.item = e.item;
    if (e.item->is_failure()) {
      ++counts.negative_hits;
    } else if (now < e.fresh_until) {
      ++counts.hits;
      answer.quality = holdfast::quality::cached;
    } else {
      ++counts.stale_hits;
      answer.quality = holdfast::quality::stale;
    }
  }
};

namespace {

/// One part for every 64 answers, up to 16.
std::size_t parts_for(std::size_t max_entries) noexcept {
  return std::bit_floor(std::clamp<std::size_t>(max_entries / 64, 1, 16));
}

cache_rules share_of(cache_rules rules, std::size_t parts) noexcept {
  rules.max_entries = std::max<std::size_t>(rules.max_entries / parts, 1);
  if (rules.max_weight != 0) rules.max_weight = std::max<std::size_t>(rules.max_weight / parts, 1);
  return rules;
}

}  // namespace

cache_core::cache_core(std::string name, const cache_rules& rules)
    : name_(std::move(name)),
      parts_(parts_for(rules.max_entries)),
      table_(std::make_unique<part[]>(parts_)) {
  reconfigure(rules);
}

cache_core::~cache_core() = default;

cache_core::part& cache_core::part_of(std::size_t hash) const noexcept {
  // Not the low bits, which choose the bucket.
  return table_[(hash >> (sizeof(hash) * 8 - 16)) & (parts_ - 1)];
}

cache_core::found cache_core::ask(std::string_view text, time_point now, cache_answer& answer) {
  const hashed_key key(text);
  part& p = part_of(key.hash);
  const std::lock_guard lock(p.mutex);
  entry* e = p.find(key);
  const bool in_the_air = e && e->flight && !e->flight->over();
  if (e && e->item) {
    if (now < e->refresh_at) [[likely]] {
      p.give(*e, now, answer);
      return found::hit;
    }
    if (e->is_value() &&
        now < saturating_add(e->fresh_until, p.rules.stale_while_revalidate)) {
      const bool refresh = !in_the_air && now >= e->refresh_not_before;
      if (refresh) {
        answer.flight = e->flight = std::make_shared<detail::flight>(text, key.hash);
        p.put_off_refresh(*e, now);
        ++p.counts.refreshes;
      }
      p.give(*e, now, answer);
      return refresh ? found::refresh : found::hit;
    }
  }
  if (in_the_air) {
    answer.flight = e->flight;
    ++p.counts.shared;
    return found::follow;
  }
  auto f = std::make_shared<detail::flight>(text, key.hash);
  (e ? *e : p.find_or_make(key)).flight = f;
  answer.flight = std::move(f);
  ++p.counts.misses;
  return found::lead;
}

cache_answer cache_core::look_up(std::string_view text, time_point now, age limit) {
  const hashed_key key(text);
  part& p = part_of(key.hash);
  cache_answer answer;
  const std::lock_guard lock(p.mutex);
  entry* e = p.find(key);
  if (e && e->is_value() && p.is_usable(*e, now, limit)) p.give(*e, now, answer);
  return answer;
}

bool cache_core::put(std::string_view text, cache_landing landing, time_point now,
                     std::uint64_t random) {
  const hashed_key key(text);
  part& p = part_of(key.hash);
  dead_items dead;
  std::shared_ptr<detail::flight> ended;
  const std::lock_guard lock(p.mutex);
  entry& e = p.find_or_make(key);
  ended = std::move(e.flight);
  return p.store(e, std::move(landing), now, random, dead);
}

cache_answer cache_core::land(flight& f, cache_landing landing, time_point now,
                              std::uint64_t random) {
  part& p = part_of(f.hash());
  cache_answer stand_in;
  kept_ptr outcome = landing.item;
  dead_items dead;
  std::shared_ptr<detail::flight> ended;
  {
    const std::lock_guard lock(p.mutex);
    entry* e = p.find(hashed_key(f.key(), f.hash()));
    // Forgotten or replaced meanwhile, by `erase`: then the table is not concerned.
    const bool concerned = e && e->flight.get() == &f;
    if (concerned) ended = std::move(e->flight);
    const bool failed = !is_answer(outcome->judged());
    if (concerned && failed && e->item) {
      ++e->failed_refreshes;
      p.put_off_refresh(*e, now);
    }
    if (concerned && failed && outcome->judged() != verdict::request_fault &&
        p.stands_in(*e, now)) {
      p.give(*e, now, stand_in);
    } else if (concerned && landing.store) {
      stand_in.stored = p.store(*e, std::move(landing), now, random, dead);
    } else if (concerned && !e->item) {
      p.drop(*e, dead);
    }
  }
  if (stand_in.item) {
    f.land(stand_in.item, stand_in.quality);
  } else {
    f.land(std::move(outcome), quality::primary);
  }
  return stand_in;
}

void cache_core::hand_over(flight& f) noexcept {
  if (!f.hand_over()) forget(f);
}

void cache_core::leave(flight& f, flight_seat& seat) noexcept {
  if (!f.leave(seat)) forget(f);
}

void cache_core::forget(flight& f) noexcept {
  part& p = part_of(f.hash());
  std::shared_ptr<detail::flight> ended;
  const std::lock_guard lock(p.mutex);
  entry* e = p.find(hashed_key(f.key(), f.hash()));
  if (!e || e->flight.get() != &f) return;
  ended = std::move(e->flight);
  if (!e->item) p.map.erase(p.map.find(hashed_key(f.key(), f.hash())));
}

bool cache_core::erase(std::string_view text) {
  const hashed_key key(text);
  part& p = part_of(key.hash);
  dead_items dead;
  std::shared_ptr<detail::flight> ended;
  const std::lock_guard lock(p.mutex);
  entry* e = p.find(key);
  if (!e) return false;
  const bool had = e->item != nullptr;
  ended = std::move(e->flight);
  p.drop(*e, dead);
  return had;
}

void cache_core::clear() {
  for (std::size_t i = 0; i < parts_; ++i) {
    part& p = table_[i];
    decltype(p.map) dead;
    const std::lock_guard lock(p.mutex);
    dead.swap(p.map);
    p.newest = p.oldest = nullptr;
    p.counts.entries = 0;
    p.counts.weight = 0;
  }
}

void cache_core::reconfigure(const cache_rules& rules) {
  const cache_rules share = share_of(rules, parts_);
  for (std::size_t i = 0; i < parts_; ++i) {
    part& p = table_[i];
    dead_items dead;
    const std::lock_guard lock(p.mutex);
    p.rules = share;
    p.shrink(dead);
  }
}

cache_snapshot cache_core::snapshot() const {
  cache_snapshot sum;
  for (std::size_t i = 0; i < parts_; ++i) {
    part& p = table_[i];
    const std::lock_guard lock(p.mutex);
    sum.entries += p.counts.entries;
    sum.weight += p.counts.weight;
    for (const auto& [key, e] : p.map) sum.flights += e.flight != nullptr;
    sum.hits += p.counts.hits;
    sum.stale_hits += p.counts.stale_hits;
    sum.negative_hits += p.counts.negative_hits;
    sum.misses += p.counts.misses;
    sum.shared += p.counts.shared;
    sum.refreshes += p.counts.refreshes;
    sum.stored += p.counts.stored;
    sum.evicted += p.counts.evicted;
    sum.too_heavy += p.counts.too_heavy;
  }
  return sum;
}

}  // namespace holdfast::detail
