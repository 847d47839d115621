// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_CACHE_LAYER_HPP
#define HOLDFAST_DETAIL_CACHE_LAYER_HPP

#include <boost/system/errc.hpp>
#include <holdfast/detail/cache_core.hpp>
#include <holdfast/detail/call_traits.hpp>
#include <holdfast/detail/layer.hpp>
#include <holdfast/detail/sync.hpp>
#include <holdfast/policy/cache_options.hpp>
#include <memory>
#include <optional>
#include <type_traits>
#include <vector>

namespace holdfast {
template <class Value>
class cache;
}  // namespace holdfast

namespace holdfast::detail {

/// Is told what a cache keeps and forgets. Called without a lock, from any thread.
class cache_observer {
 public:
  virtual ~cache_observer() = default;
  virtual void stored(std::string_view key, const kept_ptr& item, time_point now) = 0;
  virtual void erased(std::string_view key) = 0;
  virtual void cleared() = 0;
};

/// What a cache's handles and layers share, without its values' type.
class cache_state {
 public:
  cache_state(std::string name, const cache_rules& rules) : core(std::move(name), rules) {}
  cache_state(const cache_state&) = delete;
  virtual ~cache_state() = default;

  /// The key for an operation that brought none; empty: none.
  virtual std::string make_key(const call_context& context) const = 0;
  virtual void describe(std::string& out) const = 0;
  virtual duration refresh_timeout() const = 0;

  /// Tells `o` what is kept and forgotten, as long as it lives.
  void observe(const std::shared_ptr<cache_observer>& o);
  /// Gives up the places of observers that are gone.
  void forget_dead_observers() noexcept;
  template <class Event>
  void tell(Event event) const {
    if (const auto observers = current_observers()) {
      for (const auto& weak : *observers) {
        if (const auto o = weak.lock()) event(*o);
      }
    }
  }

  cache_core core;
  sync::atomic<bool> makes_keys{false};

 protected:
  mutable sync::mutex mutex_;  // guards the options and the observers

 private:
  using observer_list = std::vector<std::weak_ptr<cache_observer>>;
  /// Of those that live, and of `added`; null if there are none. Under the lock.
  std::shared_ptr<const observer_list> living(std::shared_ptr<cache_observer> added = {}) const;
  std::shared_ptr<const observer_list> current_observers() const {
    const std::lock_guard lock(mutex_);
    return observers_;
  }
  std::shared_ptr<const observer_list> observers_;
};

/// An operation's part in a flight: given back on every exit.
class flight_ticket {
 public:
  flight_ticket(std::shared_ptr<cache_state> s, std::shared_ptr<detail::flight> f, bool leader)
      : state(std::move(s)), flight(std::move(f)), leads(leader) {}
  flight_ticket(const flight_ticket&) = delete;
  ~flight_ticket() {
    if (!flight) return;
    if (leads) {
      state->core.hand_over(*flight);
    } else {
      state->core.leave(*flight, seat);
    }
  }

  const std::shared_ptr<cache_state> state;
  std::shared_ptr<detail::flight> flight;  // null once it has landed
  flight_seat seat;
  bool leads;  // from the start; an elected follower keeps its seat
};

/// Answers on the way down, lands its flight on the way up. What does not depend on the type.
class cache_gate {
 public:
  static constexpr policy_kind kind = policy_kind::cache;
  static constexpr bool timeless = true;  // calls without a key
  static constexpr bool typed = true;

  struct frame {
    kept_ptr answer;
    std::unique_ptr<flight_ticket> ticket;
    holdfast::quality quality = holdfast::quality::cached;
    frame() = default;
    frame(const frame&) = delete;

    /// Whether the operation has an answer and is to fetch a new one.
    bool refreshes() const noexcept { return ticket != nullptr; }
  };

  explicit cache_gate(std::shared_ptr<cache_state> state) : state_(std::move(state)) {}

  step enter(frame& f, operation& op) const {
    if (op.options.cache_key.empty() && !state_->makes_keys.load(std::memory_order_relaxed)) {
      return step::go;
    }
    return ask(f, op);
  }
  step resumed(frame& f, operation& op, wait_end end) const;
  step leave(frame& f, operation&, verdict) const noexcept {
    return f.ticket ? step::answer : step::go;
  }
  void describe(std::string& out) const { state_->describe(out); }

  duration refresh_timeout() const { return state_->refresh_timeout(); }

 protected:
  /// Whether the outcome says something of this operation only: of its caller or its deadline.
  static bool concerns_nobody_else(operation& op, const failure* f) noexcept;
  void note(operation& op, verdict v, quality q) const;

  std::shared_ptr<cache_state> state_;

 private:
  step ask(frame& f, operation& op) const noexcept;
  step look(frame& f, operation& op, std::string_view key) const;
};

/// What others are told of an outcome that is not theirs: it is not the service's health.
inline verdict verdict_for_others(verdict v) noexcept {
  return is_answer(v) ? verdict::success
         : v == verdict::request_fault ? v
                                       : verdict::neutral;
}

/// A cache with its values' type and the user's functions.
template <class Value>
class cache_store final : public cache_state {
 public:
  using options_type = cache_options<Value>;

  explicit cache_store(options_type o);

  std::shared_ptr<const options_type> options() const {
    const std::lock_guard lock(mutex_);
    return options_;
  }
  void reconfigure(options_type o);

  std::string make_key(const call_context& context) const override {
    const auto o = options();
    if (o->key) return o->key(context);
    return o->one_answer ? "the one answer" : std::string();
  }
  duration refresh_timeout() const override { return options()->refresh_timeout; }
  void describe(std::string& out) const override;

  /// Keeps an answer that no flight has brought.
  void keep(std::string_view key, const Value& value, verdict v, time_point now,
            std::uint64_t random) {
    cache_landing landing = landing_of(key, value, v);
    if (!landing.store) return;
    // Told before the table takes it: the observers hear of a later `erase` after this.
    const kept_ptr item = landing.item;
    tell([&](cache_observer& o) { o.stored(key, item, now); });
    if (!core.put(key, std::move(landing), now, random)) {
      tell([&](cache_observer& o) { o.erased(key); });
    }
  }

  /// What the table needs to know of an outcome. The user's functions may throw.
  cache_landing landing_of(std::string_view key, const Value& value, verdict v) const {
    const auto o = options();
    cache_landing l{.item = kept_ptr(new kept_value<Value>(value, v))};
    l.store = is_answer(v) && o->ttl > duration::zero() && (!o->store_if || o->store_if(value));
    if (l.store && o->weight) l.weight = o->weight(key, value);
    return l;
  }
  cache_landing landing_of(const failure& f, verdict v) const {
    const auto o = options();
    cache_landing l{.item = kept_ptr(new kept_failure(f, v))};
    l.store = o->negative_ttl > duration::zero() && f.code() != condition::rejected &&
              (!o->store_failure_if || o->store_failure_if(f));
    return l;
  }

 private:
  static bool makes_keys_by(const options_type& o) noexcept {
    return o.key != nullptr || o.one_answer;
  }

  std::shared_ptr<const options_type> options_;
};

template <class Value>
class refresh_layer;

/// The face of a cache in a pipeline.
template <class Value>
class cache_layer : public cache_gate {
 public:
  using value_type = Value;

  explicit cache_layer(std::shared_ptr<cache_store<Value>> store) : cache_gate(std::move(store)) {}
  explicit cache_layer(const cache<Value>& c) : cache_layer(c.store()) {}

  /// Takes the flight out of the frame, to be landed in the background.
  refresh_layer<Value> refresher(frame& f) const {
    return refresh_layer<Value>(*this, std::move(f.ticket));
  }

  /// Makes the answer of `enter` or `resumed` the operation's.
  template <class T>
  verdict answer(frame& f, operation& op, std::optional<result<T>>& outcome) const {
    check<T>();
    const kept_ptr item = std::move(f.answer);
    const verdict v = verdict_for_others(item->judged());
    give(*item, op, outcome);
    note(op, v, f.quality);
    return v;
  }

  /// Lands the flight with the outcome; where the call has failed and an older answer may stand in
  /// for it, that becomes the outcome.
  template <class T>
  verdict settle(frame& f, operation& op, std::optional<result<T>>& outcome, verdict v) const {
    check<T>();
    // Goes on every exit; it hands over where the flight has not landed.
    const std::unique_ptr<flight_ticket> ticket = std::move(f.ticket);
    cache_answer stand_in;
    if (concerns_nobody_else(op, outcome->has_error() ? &outcome->assume_error() : nullptr)) {
      if (op.caller_cancelled()) return v;
      stand_in = state_->core.look_up(ticket->flight->key(), op.now(), cache_core::age::stands_in);
    } else {
      stand_in = land(*ticket, op, *outcome, v);
    }
    if (!stand_in.item) return v;
    give(*stand_in.item, op, outcome);
    note(op, verdict::success, stand_in.quality);
    return verdict::success;
  }

 private:
  template <class T>
  static constexpr void check() {
    static_assert(std::same_as<T, Value>,
                  "holdfast: the cache keeps values of another type than the call gives; use a "
                  "hf::cache of the call's type.");
  }

  template <class T>
  static void give(const kept& item, operation& op, std::optional<result<T>>& outcome) {
    if (item.is_failure()) {
      outcome.emplace(failed<T>(failure_of_kept(item)));
      op.error = &outcome->assume_error();
    } else {
      outcome.emplace(BOOST_OUTCOME_V2_NAMESPACE::in_place_type<T>, value_of_kept<Value>(item));
      op.error = nullptr;
    }
  }

  template <class T>
  cache_answer land(flight_ticket& ticket, operation& op, const result<T>& outcome,
                    verdict v) const {
    const auto& store = static_cast<const cache_store<Value>&>(*ticket.state);
    const std::string& key = ticket.flight->key();
    cache_landing landing;
    try {
      landing = outcome.has_value() ? store.landing_of(key, outcome.assume_value(), v)
                                    : store.landing_of(outcome.assume_error(), v);
    } catch (...) {
      return {};  // no memory, or a function of the user's has failed: the next one may try
    }
    op.start_edge_precisely();  // the answer's time begins after the functions of the user's
    // Before the table takes it, so that whoever makes the table forget it comes after.
    const bool told = landing.store && outcome.has_value();
    const kept_ptr item = landing.item;
    if (told) store.tell([&](cache_observer& o) { o.stored(key, item, op.now()); });
    cache_answer a =
        ticket.state->core.land(*ticket.flight, std::move(landing), op.now(), op.random());
    if (told && !a.stored) store.tell([&](cache_observer& o) { o.erased(key); });
    ticket.flight.reset();
    return a;
  }
};

/// The place of a cache around a fetch in the background: leads the flight of the operation that
/// began it.
template <class Value>
class refresh_layer : public cache_layer<Value> {
 public:
  using typename cache_gate::frame;

  refresh_layer(const cache_layer<Value>& cache, std::unique_ptr<flight_ticket> ticket)
      : cache_layer<Value>(cache), ticket_(std::move(ticket)) {}

  step enter(frame& f, operation&) const noexcept {
    f.ticket = std::move(ticket_);
    return step::go;
  }

 private:
  mutable std::unique_ptr<flight_ticket> ticket_;  // until the one operation of this stack enters
};

/// The options of a cache that its table does not need.
struct cache_habits {
  duration refresh_timeout;
  bool weighs;
  bool makes_keys;
  bool one_answer;
  bool chooses;
};

template <class Value>
cache_habits habits_of(const cache_options<Value>& o) noexcept {
  return {.refresh_timeout = o.refresh_timeout,
          .weighs = o.weight != nullptr,
          .makes_keys = o.key != nullptr,
          .one_answer = o.one_answer,
          .chooses = o.store_if != nullptr || o.store_failure_if != nullptr};
}

void check_cache_options(std::string_view name, const cache_rules& rules,
                         const cache_habits& habits);
void describe_cache(std::string& out, std::string_view name, const cache_rules& rules,
                    const cache_habits& habits);

template <class Value>
cache_rules rules_of(const cache_options<Value>& o) noexcept {
  return {.max_entries = o.max_entries,
          .max_weight = o.max_weight,
          .ttl = o.ttl,
          .ttl_jitter = o.ttl_jitter,
          .stale_while_revalidate = o.stale_while_revalidate,
          .stale_if_error = o.stale_if_error,
          .refresh_ahead = o.refresh_ahead,
          .failed_refresh_wait = o.failed_refresh_wait,
          .max_failed_refresh_wait = o.max_failed_refresh_wait,
          .negative_ttl = o.negative_ttl};
}

template <class Value>
cache_rules checked_rules_of(std::string_view name, const cache_options<Value>& o) {
  const cache_rules rules = rules_of(o);
  check_cache_options(name, rules, habits_of(o));
  return rules;
}

template <class Value>
cache_store<Value>::cache_store(options_type o)
    : cache_state(o.name, checked_rules_of(o.name, o)),
      options_(std::make_shared<const options_type>(std::move(o))) {
  makes_keys = makes_keys_by(*options_);
}

template <class Value>
void cache_store<Value>::reconfigure(options_type o) {
  const cache_rules rules = checked_rules_of(core.name(), o);
  auto next = std::make_shared<const options_type>(std::move(o));
  const bool keys = makes_keys_by(*next);
  {
    const std::lock_guard lock(mutex_);
    options_.swap(next);
    core.reconfigure(rules);
    makes_keys = keys;
  }
}

template <class Value>
void cache_store<Value>::describe(std::string& out) const {
  const auto o = options();
  describe_cache(out, core.name(), rules_of(*o), habits_of(*o));
}

}  // namespace holdfast::detail

#endif
