// SPDX-License-Identifier: BSL-1.0
// The single-flight slot of a cache: who leads, who follows, and what they get.
#include <array>
#include <boost/asio/execution_context.hpp>
#include <holdfast/detail/cache_core.hpp>
#include <memory>

#include "waiter.hpp"

namespace {

namespace hf = holdfast;
namespace asio = boost::asio;
using namespace std::chrono_literals;
using hf::detail::cache_answer;
using hf::detail::cache_core;
using hf::detail::flight;
using hf::detail::flight_seat;
using hf::detail::kept;
using hf::detail::kept_ptr;
using hf::detail::wait_end;
using age = cache_core::age;
using found = cache_core::found;
using model::waiter;

constexpr hf::time_point start{1h};

/// An answer. Whoever has it may read it, until it is destroyed.
class answer final : public kept {
 public:
  explicit answer(unsigned v) : kept(false, hf::verdict::success) { value_.write(v); }
  ~answer() override { value_.write(0); }
  unsigned value() const { return value_.read(); }

 private:
  model::payload value_;
};

unsigned value_of(const kept_ptr& item) { return static_cast<const answer&>(*item).value(); }

struct with_cache : model::threads {
  static constexpr int count = 3;

  asio::execution_context context;
  hf::time_service time{context};
  cache_core cache{"answers", {.max_entries = 8, .ttl = 1s}};
  std::array<model::bell, count> bells;
  unsigned leaders = 0;  // at once
  unsigned led = 0;
  model::payload service;  // one call of it at a time

  enum class as_leader { lands, gives_up };

  /// Asks as the cache's layer does. Null: it was cancelled, or led and gave up.
  kept_ptr ask(unsigned n, as_leader then, bool cancel = false) {
    for (;;) {
      cache_answer a;
      const found what = cache.ask("key", start, a);
      if (what == found::hit) return a.item;
      MUST(what == found::lead || what == found::follow);
      if (what == found::lead) return lead(*a.flight, then);
      flight_seat seat;
      waiter w(bells[n]);
      switch (a.flight->join(seat, w.open(time))) {
        case flight::boarding::landed: return w.place.wait.finish(), a.flight->outcome();
        case flight::boarding::over: w.place.wait.finish(); continue;
        case flight::boarding::follows: break;
      }
      if (w.wait(hf::never, cancel) != wait_end::granted) {
        cache.leave(*a.flight, seat);
        return nullptr;
      }
      if (a.flight->leads(seat)) return lead(*a.flight, then);
      return a.flight->outcome();
    }
  }

  kept_ptr lead(flight& f, as_leader then) {
    ++led;
    MUST(++leaders == 1);
    service.write(service.read() + 1);
    --leaders;
    if (then == as_leader::gives_up) {
      cache.hand_over(f);
      return nullptr;
    }
    const kept_ptr item(new answer(42));
    cache.land(f, {.item = item, .store = true}, start, 0);
    return item;
  }

  void after() override {
    MUST(leaders == 0);
    MUST(cache.snapshot().flights == 0);
  }
};

/// One asks the service, and everybody has its answer.
struct one_leads : with_cache {
  void thread(unsigned n) override { MUST(value_of(ask(n, as_leader::lands)) == 42); }
  void after() override {
    with_cache::after();
    MUST(led == 1);
    MUST(cache.snapshot().misses == 1);
  }
};

/// A leader that gives up is followed by another, one at a time; nobody is left behind.
struct leaders_follow_each_other : with_cache {
  void thread(unsigned n) override {
    const auto then = n == 0 ? as_leader::gives_up : as_leader::lands;
    const kept_ptr item = ask(n, then);
    MUST(n == 0 || value_of(item) == 42);
  }
  void after() override {
    with_cache::after();
    MUST(led == 1 || led == 2);
  }
};

/// Where all give up nothing is left of the key.
struct nothing_is_left : with_cache {
  void thread(unsigned n) override { ask(n, as_leader::gives_up, n == 1); }
  void after() override {
    with_cache::after();
    MUST(led >= 1 && cache.snapshot().entries == 0);
  }
};

/// A follower that leaves changes nothing for anybody else, also where it was just elected.
struct who_leaves_hands_over : with_cache {
  void thread(unsigned n) override {
    const kept_ptr item = ask(n, n == 0 ? as_leader::gives_up : as_leader::lands, n == 1);
    if (n == 2 || item) MUST(value_of(item) == 42);
  }
};

/// The same where it goes without having waited, as a coroutine that is destroyed; and if nobody is
/// left to take over, nothing is left of the key.
template <bool Somebody>
struct who_is_destroyed_hands_over : with_cache {
  void thread(unsigned n) override {
    if (n == 0) {
      ask(n, as_leader::gives_up);
    } else if (n == 1) {
      go_without_waiting(n);
    } else if (Somebody) {
      ask(n, as_leader::lands);
    }
  }
  void go_without_waiting(unsigned n) {
    cache_answer a;
    const found what = cache.ask("key", start, a);
    if (what == found::lead) cache.hand_over(*a.flight);
    if (what != found::follow) return;
    flight_seat seat;
    waiter w(bells[n]);
    if (a.flight->join(seat, w.open(time)) == flight::boarding::follows) {
      cache.leave(*a.flight, seat);
    }
  }
};

/// An answer that is evicted or replaced stays with those who have it.
struct answers_outlive_the_cache : with_cache {
  void before() override {
    cache.put("key", {.item = kept_ptr(new answer(1))}, start, 0);
  }
  void thread(unsigned n) override {
    if (n == 0) {
      cache.put("key", {.item = kept_ptr(new answer(2))}, start, 0);
    } else if (n == 1) {
      cache.erase("key");
    } else {
      const kept_ptr item = cache.look_up("key", start, age::fresh).item;
      if (item) MUST(value_of(item) == 1 || value_of(item) == 2);
    }
  }
};

/// A key that is forgotten while it is fetched: those who wait have the answer, it is not kept, and
/// whoever asks after that has one of his own.
struct forgotten_meanwhile : with_cache {
  void thread(unsigned n) override {
    if (n == 0) {
      cache.erase("key");
    } else {
      MUST(value_of(ask_alone(n)) == 42);
    }
  }
  // Two may lead at once then, each a flight of its own.
  kept_ptr ask_alone(unsigned n) {
    cache_answer a;
    switch (cache.ask("key", start, a)) {
      case found::hit: return a.item;
      case found::follow: break;
      default: {
        const kept_ptr item(new answer(42));
        cache.land(*a.flight, {.item = item, .store = true}, start, 0);
        return item;
      }
    }
    flight_seat seat;
    waiter w(bells[n]);
    if (a.flight->join(seat, w.open(time)) == flight::boarding::landed) {
      w.place.wait.finish();
    } else {
      MUST(w.wait() == wait_end::granted && !a.flight->leads(seat));
    }
    return a.flight->outcome();
  }
};

}  // namespace

int main(int argc, char** argv) {
  model::explorer e(argc, argv);
  e.explore<one_leads>("one leads", 10'000);
  e.explore<leaders_follow_each_other>("leaders follow each other", 10'000);
  e.explore<nothing_is_left>("nothing is left", 10'000);
  e.explore<who_leaves_hands_over>("who leaves hands over", 10'000);
  e.explore<who_is_destroyed_hands_over<true>>("who is destroyed hands over", 10'000);
  e.explore<who_is_destroyed_hands_over<false>>("who is destroyed cleans up", 10'000);
  e.explore<answers_outlive_the_cache>("answers outlive the cache", 10'000);
  e.explore<forgotten_meanwhile>("forgotten meanwhile", 10'000);
  return e.result();
}
