// SPDX-License-Identifier: BSL-1.0
// A cache against a map of what it knows and a list of its order of use, and its flights against
// lists of those who follow. Waits are opened but never suspended on.
#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <catch2/catch_all.hpp>
#include <deque>
#include <holdfast/detail/cache_core.hpp>
#include <holdfast/detail/operation.hpp>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "../support/property.hpp"

namespace {

namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::quality;
using hf::verdict;
using hf::detail::cache_answer;
using hf::detail::cache_core;
using hf::detail::cache_landing;
using hf::detail::cache_rules;
using hf::detail::flight;
using hf::detail::kept_failure;
using hf::detail::kept_ptr;
using hf::detail::kept_value;
using age = cache_core::age;
using found = cache_core::found;

constexpr hf::time_point start{1h};
constexpr std::uint64_t whole_time = 0;
constexpr std::uint64_t shortest_time = ~std::uint64_t{0};

/// An outcome, and what is known of it.
struct outcome {
  kept_ptr item;
  bool failure;
  verdict judged;
};

struct model {
  struct entry {
    kept_ptr item;
    hf::time_point refresh_at{};
    hf::time_point fresh_until{};
    std::size_t weight = 0;
    unsigned flight = 0;  // none
  };
  struct follower {
    unsigned flight;
    bool open = true;     // it waits yet
    bool granted = false;
    bool leads = false;
    bool queued = true;
  };
  struct flight_state {
    std::string key;
    enum { in_the_air, landed, given_up } is = in_the_air;
    std::deque<unsigned> queue;  // of followers
    kept_ptr result;
    hf::quality good = hf::quality::primary;
  };

  cache_rules rules;
  hf::time_point now = start;
  std::map<std::string, entry> entries;
  std::deque<std::string> order;  // the newest first; those with an answer
  std::map<unsigned, flight_state> flights;
  std::map<unsigned, follower> followers;
  unsigned last_flight = 0;
  unsigned last_follower = 0;
  hf::cache_snapshot counts;

  bool in_the_air(const entry& e) const {
    return e.flight != 0 && flights.at(e.flight).is == flight_state::in_the_air;
  }
  static bool is_value(const entry& e) { return e.item && !e.item->is_failure(); }
  bool stands_in(const entry& e) const {
    return is_value(e) &&
           now < e.fresh_until + std::max(rules.stale_if_error.value_or(0s), rules.stale_while_revalidate);
  }
  void touch(const std::string& key) {
    std::erase(order, key);
    order.push_front(key);
  }
  void give(const std::string& key, cache_answer& a) {
    const entry& e = entries.at(key);
    touch(key);
    a.item = e.item;
    if (e.item->is_failure()) {
      ++counts.negative_hits;
    } else if (now < e.fresh_until) {
      ++counts.hits;
      a.quality = quality::cached;
    } else {
      ++counts.stale_hits;
      a.quality = quality::stale;
    }
  }
  void drop(const std::string& key) {
    entry& e = entries.at(key);
    if (e.item) std::erase(order, key);
    e.item.reset();
    if (e.flight == 0) entries.erase(key);
  }
  std::size_t weight() const {
    std::size_t sum = 0;
    for (const auto& key : order) sum += entries.at(key).weight;
    return sum;
  }
  void shrink() {
    while (order.size() > rules.max_entries ||
           (rules.max_weight != 0 && weight() > rules.max_weight)) {
      ++counts.evicted;
      drop(std::string(order.back()));
    }
  }
  bool store(const std::string& key, const cache_landing& l, std::uint64_t random) {
    const hf::duration longest = l.item->is_failure() ? rules.negative_ttl : rules.ttl;
    const bool heavy = rules.max_weight != 0 && l.weight > rules.max_weight;
    if (longest == 0s || heavy) {
      counts.too_heavy += longest != 0s;
      drop(key);
      return false;
    }
    const hf::duration cut = random == whole_time ? 0ns : share(longest, rules.ttl_jitter);
    const hf::duration lasts = std::max<hf::duration>(longest - cut, 1ns);
    const bool early = rules.refresh_ahead > 0 && !l.item->is_failure();
    entry& e = entries.at(key);
    e.item = l.item;
    e.weight = l.weight;
    e.fresh_until = now + lasts;
    e.refresh_at = now + (early ? share(lasts, rules.refresh_ahead) : lasts);
    touch(key);
    ++counts.stored;
    shrink();
    return true;
  }
  static hf::duration share(hf::duration d, double part) {
    return hf::duration(static_cast<std::int64_t>(static_cast<double>(d.count()) * part));
  }

  found ask(const std::string& key, cache_answer& a, unsigned& f) {
    const auto i = entries.find(key);
    const bool flying = i != entries.end() && in_the_air(i->second);
    if (i != entries.end() && i->second.item) {
      entry& e = i->second;
      if (now < e.refresh_at) return give(key, a), found::hit;
      if (is_value(e) && now < e.fresh_until + rules.stale_while_revalidate) {
        give(key, a);
        if (flying) return found::hit;
        f = e.flight = ++last_flight;
        flights[f].key = key;
        ++counts.refreshes;
        return found::refresh;
      }
    }
    if (flying) {
      f = i->second.flight;
      ++counts.shared;
      return found::follow;
    }
    f = entries[key].flight = ++last_flight;
    flights[f].key = key;
    ++counts.misses;
    return found::lead;
  }
  cache_answer look_up(const std::string& key, age limit) {
    cache_answer a;
    const auto i = entries.find(key);
    if (i == entries.end() || !is_value(i->second)) return a;
    const bool usable[] = {now < i->second.fresh_until,
                           now < i->second.fresh_until || stands_in(i->second),
                           !rules.stale_if_error || stands_in(i->second)};
    if (usable[static_cast<int>(limit)]) give(key, a);
    return a;
  }
  bool put(const std::string& key, const cache_landing& l, std::uint64_t random) {
    entries[key].flight = 0;
    return store(key, l, random);
  }
  cache_answer land(unsigned f, const cache_landing& l, std::uint64_t random) {
    flight_state& now_landing = flights.at(f);
    const std::string key = now_landing.key;
    const auto i = entries.find(key);
    const verdict v = l.item->judged();
    const bool failed = v != verdict::success && v != verdict::slow;
    cache_answer a;
    if (i != entries.end() && i->second.flight == f) {
      i->second.flight = 0;
      if (failed && v != verdict::request_fault && stands_in(i->second)) {
        give(key, a);
      } else if (l.store) {
        a.stored = store(key, l, random);
      } else if (!i->second.item) {
        drop(key);
      }
    }
    now_landing.is = flight_state::landed;
    now_landing.result = a.item ? a.item : l.item;
    now_landing.good = a.item ? a.quality : quality::primary;
    for (const unsigned who : std::exchange(now_landing.queue, {})) {
      followers.at(who).queued = false;
      followers.at(who).granted = followers.at(who).open;
    }
    return a;
  }
  void hand_over(unsigned f) {
    flight_state& fl = flights.at(f);
    while (!fl.queue.empty()) {
      follower& next = followers.at(fl.queue.front());
      fl.queue.pop_front();
      next.queued = false;
      if (next.open) {
        next.granted = next.leads = true;
        return;
      }
    }
    fl.is = flight_state::given_up;
    const auto i = entries.find(fl.key);
    if (i == entries.end() || i->second.flight != f) return;
    i->second.flight = 0;
    if (!i->second.item) entries.erase(i);
  }
  void leave(unsigned who) {
    const follower left = followers.at(who);
    std::erase(flights.at(left.flight).queue, who);
    followers.erase(who);
    if (left.leads) hand_over(left.flight);
  }
  bool erase(const std::string& key) {
    const auto i = entries.find(key);
    if (i == entries.end()) return false;
    const bool had = i->second.item != nullptr;
    i->second.flight = 0;
    drop(key);
    return had;
  }
  void clear() {
    entries.clear();
    order.clear();
  }
  hf::cache_snapshot snapshot() const {
    hf::cache_snapshot s = counts;
    s.entries = order.size();
    s.weight = weight();
    s.flights = static_cast<std::size_t>(
        std::ranges::count_if(entries, [](const auto& e) { return e.second.flight != 0; }));
    return s;
  }
};

struct op {
  enum class kind { pass_time, ask, look_up, put, land, hand_over, join, leave, go_on, erase, clear,
                    reconfigure };
  kind what = kind::pass_time;
  unsigned a = 0;
  unsigned b = 0;
};

void showValue(const op& o, std::ostream& os) {
  constexpr const char* names[] = {"pass_time", "ask",  "look_up", "put",
                                   "land",      "hand_over", "join", "leave",
                                   "go_on",     "erase", "clear",   "reconfigure"};
  os << names[static_cast<int>(o.what)] << ' ' << o.a << ' ' << o.b;
}

rc::Gen<std::vector<op>> any_ops() {
  using k = op::kind;
  const auto one = rc::gen::exec([] {
    return op{*rc::gen::weightedElement<k>({{20, k::pass_time},
                                            {40, k::ask},
                                            {8, k::look_up},
                                            {6, k::put},
                                            {20, k::land},
                                            {5, k::hand_over},
                                            {20, k::join},
                                            {6, k::leave},
                                            {12, k::go_on},
                                            {4, k::erase},
                                            {1, k::clear},
                                            {2, k::reconfigure}}),
              *test::below(0u, 1000u), *test::below(0u, 1000u)};
  });
  return rc::gen::container<std::vector<op>>(one);
}

cache_rules any_rules() {
  const auto some = [](unsigned most) { return hf::duration(1s) * test::number(0, most); };
  return {.max_entries = test::number(1, 5),
          .max_weight = test::maybe(0.5) ? test::number(1, 12) : 0,
          .ttl = some(8),
          .ttl_jitter = test::number(0, 4) / 4.0,
          .stale_while_revalidate = some(4),
          .stale_if_error = test::maybe(0.7) ? std::optional(some(4)) : std::nullopt,
          .refresh_ahead = test::number(0, 4) / 4.0,
          .negative_ttl = some(4)};
}

struct run {
  struct follower {
    explicit follower(std::shared_ptr<flight> f) : in(std::move(f)) {}
    hf::call_options options;
    boost::asio::any_io_executor executor = context().get_executor();
    hf::detail::operation operation{executor, options};
    hf::detail::flight_seat seat;
    hf::detail::turn* place = &operation.prepare_wait();
    std::shared_ptr<flight> in;
  };

  static boost::asio::io_context& context() {
    static boost::asio::io_context one{1};
    return one;
  }

  explicit run(const cache_rules& r) : core("c", r) { m.rules = r; }

  cache_core core;
  model m;
  std::map<unsigned, std::shared_ptr<flight>> flights;
  std::vector<unsigned> leaders;  // numbers of flights
  std::vector<unsigned> invited;
  std::map<unsigned, std::unique_ptr<follower>> followers;

  static std::string key(unsigned n) { return std::string(1, static_cast<char>('a' + n % 7)); }

  static cache_landing landing(unsigned n) {
    static constexpr verdict all[] = {verdict::success, verdict::slow, verdict::failure,
                                      verdict::request_fault, verdict::overloaded};
    const bool failure = n % 10 >= 6;
    const verdict v = all[failure ? 2 + n % 3 : n % 5 == 0 ? 1 : 0];
    return {.item = failure
                        ? kept_ptr(new kept_failure(hf::failure(hf::errc::exception), v))
                        : kept_ptr(new kept_value<unsigned>(n, n % 11 == 0 ? verdict::failure : v)),
            .weight = n % 9,
            .store = n % 7 != 0};
  }
  static std::uint64_t random(unsigned n) { return n % 2 == 0 ? whole_time : shortest_time; }

  static void same(const cache_answer& is, const cache_answer& should) {
    RC_ASSERT(is.item.get() == should.item.get());
    if (is.item) RC_ASSERT(is.quality == should.quality);
    RC_ASSERT(is.stored == should.stored);
  }

  void step(const op& x);
  void ask(const op& x);
  void go_on(unsigned who);
  void compare() const;

  /// One of a map's, or none.
  template <class Map>
  static auto any_of(Map& map, unsigned n) {
    return map.empty() ? map.end()
                       : std::next(map.begin(), static_cast<std::ptrdiff_t>(n % map.size()));
  }
};

void run::ask(const op& x) {
  cache_answer is;
  cache_answer should;
  unsigned number = 0;
  const found what = core.ask(key(x.a), m.now, is);
  RC_ASSERT(what == m.ask(key(x.a), should, number));
  same(is, should);
  RC_ASSERT((is.flight != nullptr) == (number != 0));
  if (what == found::follow) {
    RC_ASSERT(is.flight == flights.at(number));
    invited.push_back(number);
  } else if (number != 0) {
    RC_ASSERT(is.flight->key() == key(x.a));
    flights[number] = is.flight;
    leaders.push_back(number);
  }
}

/// A follower whose wait has ended, or ends now.
void run::go_on(unsigned who) {
  follower& one = *followers.at(who);
  model::follower& is = m.followers.at(who);
  const auto end = one.place->wait.finish();
  RC_ASSERT((end == hf::detail::wait_end::granted) == is.granted);
  if (!is.granted) {
    is.open = false;
    return;
  }
  if (is.leads) {
    leaders.push_back(is.flight);
  } else {
    RC_ASSERT(one.in->outcome() == m.flights.at(is.flight).result);
    RC_ASSERT(one.in->quality() == m.flights.at(is.flight).good);
  }
  m.followers.erase(who);
  followers.erase(who);
}

void run::step(const op& x) {
  switch (x.what) {
    case op::kind::pass_time: {
      // Often to the very time at which something changes, or one nanosecond off.
      hf::duration d = x.a % 2 == 0 ? hf::duration(1s) * (x.b % 20) / 4 : hf::duration(x.b * 1ms);
      if (const auto i = any_of(m.entries, x.b); x.a % 3 == 0 && i != m.entries.end()) {
        const model::entry& e = i->second;
        const hf::time_point ends[] = {
            e.refresh_at, e.fresh_until, e.fresh_until + m.rules.stale_while_revalidate,
            e.fresh_until + std::max(m.rules.stale_if_error.value_or(0s), m.rules.stale_while_revalidate)};
        d = ends[x.a / 3 % 4] - m.now - (x.b % 2 == 0 ? 1ns : 0ns);
      }
      m.now += std::clamp<hf::duration>(d, 0s, 20s);
      break;
    }
    case op::kind::ask: ask(x); break;
    case op::kind::look_up:
      same(core.look_up(key(x.a), m.now, static_cast<age>(x.b % 3)),
           m.look_up(key(x.a), static_cast<age>(x.b % 3)));
      break;
    case op::kind::put: {
      const cache_landing l = landing(x.b);
      RC_ASSERT(core.put(key(x.a), l, m.now, random(x.b)) == m.put(key(x.a), l, random(x.b)));
      break;
    }
    case op::kind::land:
      if (!leaders.empty()) {
        const unsigned f = test::take_out(leaders, x.a % leaders.size());
        const cache_landing l = landing(x.b);
        same(core.land(*flights.at(f), l, m.now, random(x.b)), m.land(f, l, random(x.b)));
      }
      break;
    case op::kind::hand_over:
      if (!leaders.empty()) {
        const unsigned f = test::take_out(leaders, x.a % leaders.size());
        core.hand_over(*flights.at(f));
        m.hand_over(f);
      }
      break;
    case op::kind::join:
      if (!invited.empty()) {
        const unsigned f = test::take_out(invited, x.a % invited.size());
        auto one = std::make_unique<follower>(flights.at(f));
        const auto boarded = flights.at(f)->join(one->seat, *one->place);
        const auto is = m.flights.at(f).is;
        const bool flies = is == model::flight_state::in_the_air;
        RC_ASSERT((boarded == flight::boarding::follows) == flies);
        RC_ASSERT((boarded == flight::boarding::landed) == (is == model::flight_state::landed));
        if (boarded != flight::boarding::follows) break;
        followers[++m.last_follower] = std::move(one);
        m.followers[m.last_follower] = {.flight = f};
        m.flights.at(f).queue.push_back(m.last_follower);
      }
      break;
    case op::kind::leave:
      if (const auto i = any_of(followers, x.a); i != followers.end()) {
        core.leave(*i->second->in, i->second->seat);
        m.leave(i->first);
        followers.erase(i);
      }
      break;
    case op::kind::go_on:
      if (const auto i = any_of(followers, x.a); i != followers.end()) {
        if (m.followers.at(i->first).open) go_on(i->first);
      }
      break;
    case op::kind::erase: RC_ASSERT(core.erase(key(x.a)) == m.erase(key(x.a))); break;
    case op::kind::clear:
      core.clear();
      m.clear();
      break;
    case op::kind::reconfigure: {
      m.rules.max_entries = 1 + x.a % 5;
      m.rules.max_weight = x.b % 12;
      m.rules.ttl = hf::duration(1s) * (x.b % 7);
      core.reconfigure(m.rules);
      m.shrink();
      break;
    }
  }
}

void run::compare() const {
  const hf::cache_snapshot is = core.snapshot();
  const hf::cache_snapshot should = m.snapshot();
  RC_ASSERT(is.entries == should.entries);
  RC_ASSERT(is.weight == should.weight);
  RC_ASSERT(is.flights == should.flights);
  RC_ASSERT(is.hits == should.hits);
  RC_ASSERT(is.stale_hits == should.stale_hits);
  RC_ASSERT(is.negative_hits == should.negative_hits);
  RC_ASSERT(is.misses == should.misses);
  RC_ASSERT(is.shared == should.shared);
  RC_ASSERT(is.refreshes == should.refreshes);
  RC_ASSERT(is.stored == should.stored);
  RC_ASSERT(is.evicted == should.evicted);
  RC_ASSERT(is.too_heavy == should.too_heavy);
  for (const auto& [number, f] : flights) {
    RC_ASSERT(f->over() == (m.flights.at(number).is != model::flight_state::in_the_air));
  }
  std::multiset<unsigned> leading(leaders.begin(), leaders.end());
  for (const auto& [number, one] : followers) {
    const model::follower& f = m.followers.at(number);
    RC_ASSERT(one->seat.queued == f.queued);
    RC_ASSERT(one->in->leads(one->seat) == f.leads);
    if (f.open) RC_ASSERT(one->place->wait.granted() == f.granted);
    if (f.leads) leading.insert(f.flight);
  }
  // Nobody asks in vain: whoever flies is led, and by one.
  for (const auto& [number, f] : flights) RC_ASSERT(leading.count(number) == (f->over() ? 0u : 1u));
}

}  // namespace

TEST_CASE("a cache is a map and the order of its use, and a flight has one leader",
          "[cache][property]") {
  const bool held = test::holds("cache", {.count = 3000, .size = 150}, [] {
    run r(any_rules());
    for (const op& x : *any_ops()) {
      r.step(x);
      r.compare();
    }
  });
  CHECK(held);
}
