// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <holdfast/detail/option_faults.hpp>
#include <holdfast/detail/similar_core.hpp>

namespace holdfast::detail {

namespace {

similar_options validated(similar_options o, std::string_view name) {
  constexpr std::size_t most = 100'000;
  option_faults faults;
  if (o.max_entries < 1 || o.max_entries > most) {
    faults.add("max_entries", fmt::format("{}", o.max_entries), "must be between 1 and 100000");
  }
  if (!(o.threshold > 0 && o.threshold <= 1)) {
    faults.add("threshold", fmt::format("{}", o.threshold), "must be above 0 and at most 1");
  }
  faults.at_least("max_age", o.max_age, duration::zero());
  faults.raise_if_any(name.empty() ? "similar_answers" : fmt::format("similar_answers '{}'", name));
  return o;
}

/// The length of the scope at the beginning of a key.
std::size_t scope_of(std::string_view key, const similar_options& o) noexcept {
  if (o.scope_separator.empty()) return 0;
  const auto at = key.find(o.scope_separator);
  return at == std::string_view::npos ? 0 : at + o.scope_separator.size();
}

}  // namespace

similar_core::similar_core(similar_options options) : name_(options.name) {
  options_ = std::make_shared<const similar_options>(validated(std::move(options), name_));
}

similar_core::~similar_core() {
  // The cache's reference to this has expired already.
  if (const auto cache = cache_.lock()) cache->forget_dead_observers();
}

void similar_core::observe(const std::shared_ptr<similar_core>& self,
                           const std::shared_ptr<cache_state>& cache) {
  cache->observe(self);
  self->cache_ = cache;
}

similar_core::entry_ptr similar_core::make_entry(std::string_view key, kept_ptr item, time_point at,
                                                 const similar_options& o) {
  const std::size_t scope = scope_of(key, o);
  return std::make_shared<const entry>(entry{
      std::string(key), scope, o.similarity ? text_features() : features_of(key.substr(scope)),
      std::move(item), at});
}

void similar_core::stored(std::string_view key, const kept_ptr& item, time_point now) {
  std::shared_ptr<const similar_options> o;
  {
    const std::lock_guard lock(mutex_);
    o = options_;
  }
  entry_ptr e = make_entry(key, item, now, *o);
  std::vector<entry_ptr> stale;
  entry_ptr dead;
  const std::lock_guard lock(mutex_);
  if (options_ != o) e = make_entry(key, item, now, *options_);  // new ones came in between
  drop_stale(now, stale);
  const auto same = std::ranges::find(entries_, key, &entry::key);
  if (same != entries_.end()) {
    dead = std::move(*same);
    entries_.erase(same);
  } else if (entries_.size() >= options_->max_entries) {
    dead = std::move(entries_.front());
    entries_.erase(entries_.begin());
  }
  entries_.push_back(std::move(e));
}

void similar_core::drop_stale(time_point now, std::vector<entry_ptr>& dead) {
  const duration most = options_->max_age;
  if (most <= duration::zero() || entries_.empty() || now - entries_.front()->at <= most) return;
  const auto fresh = std::ranges::find_if(
      entries_, [&](const entry_ptr& e) { return now - e->at <= most; });
  // Both parts move into vectors of their own size.
  std::vector<entry_ptr> kept(std::make_move_iterator(fresh),
                              std::make_move_iterator(entries_.end()));
  entries_.erase(fresh, entries_.end());
  dead.swap(entries_);
  entries_.swap(kept);
}

void similar_core::erased(std::string_view key) {
  entry_ptr dead;
  const std::lock_guard lock(mutex_);
  const auto same = std::ranges::find(entries_, key, &entry::key);
  if (same == entries_.end()) return;
  dead = std::move(*same);
  entries_.erase(same);
}

void similar_core::cleared() {
  std::vector<entry_ptr> dead;
  const std::lock_guard lock(mutex_);
  dead.swap(entries_);
}

similar_core::match similar_core::find(std::string_view key, time_point now) const {
  std::shared_ptr<const similar_options> o;
  std::vector<entry_ptr> entries;
  {
    const std::lock_guard lock(mutex_);
    o = options_;
    entries = entries_;
  }
  const std::size_t scope = scope_of(key, *o);
  const std::string_view text = key.substr(scope);
  const text_features features = o->similarity ? text_features() : features_of(text);
  const entry* best = nullptr;
  double most = o->threshold;
  for (const entry_ptr& e : entries) {
    if (o->max_age > duration::zero() && now - e->at > o->max_age) continue;
    if (std::string_view(e->key).substr(0, e->scope) != key.substr(0, scope)) continue;
    const double s = o->similarity
                         ? o->similarity(text, std::string_view(e->key).substr(e->scope))
                         : similarity_of(features, e->features);
    if (s >= most) {
      most = s;
      best = e.get();
    }
  }
  if (!best) return {};
  return {best->item, most, best->key, best->at};
}

void similar_core::reconfigure(similar_options options) {
  auto next = std::make_shared<const similar_options>(validated(std::move(options), name_));
  std::vector<entry_ptr> entries;
  const std::lock_guard lock(mutex_);
  const auto skipped = static_cast<std::ptrdiff_t>(
      entries_.size() - std::min(entries_.size(), next->max_entries));
  // What the new options compare may not be what was prepared.
  for (auto e = entries_.begin() + skipped; e != entries_.end(); ++e) {
    entries.push_back(make_entry((*e)->key, (*e)->item, (*e)->at, *next));
  }
  options_.swap(next);
  entries_.swap(entries);
}

std::size_t similar_core::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace holdfast::detail
