// SPDX-License-Identifier: BSL-1.0
// The cache's core by hand: a pure function of time.
#include <catch2/catch_all.hpp>
#include <holdfast/detail/cache_core.hpp>
#include <list>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "../support/seed.hpp"

namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::quality;
using hf::verdict;
using hf::detail::cache_answer;
using hf::detail::cache_core;
using hf::detail::cache_landing;
using hf::detail::cache_rules;
using hf::detail::kept_failure;
using hf::detail::kept_ptr;
using hf::detail::kept_value;
using age = cache_core::age;
using found = cache_core::found;

namespace {

hf::time_point at(hf::duration d) { return hf::time_point(1h + d); }

constexpr std::uint64_t no_jitter = 0;
constexpr std::uint64_t full_jitter = ~std::uint64_t{0};

cache_landing number(int n, std::size_t weight = 1) {
  return {.item = kept_ptr(new kept_value<int>(n, verdict::success)),
          .weight = weight,
          .store = true};
}
cache_landing failing(verdict v, bool store = false) {
  return {.item = kept_ptr(new kept_failure(hf::failure(hf::errc::exception), v)),
          .store = store};
}

int number_in(const kept_ptr& item) {
  REQUIRE(item);
  REQUIRE_FALSE(item->is_failure());
  return hf::detail::value_of_kept<int>(*item);
}

struct asked {
  found what;
  cache_answer answer;
};
asked ask(cache_core& c, std::string_view key, hf::time_point now) {
  asked a{};
  a.what = c.ask(key, now, a.answer);
  return a;
}

/// Asks as a leader and lands.
void fetch(cache_core& c, std::string_view key, cache_landing landing, hf::time_point now) {
  const asked a = ask(c, key, now);
  REQUIRE(a.what == found::lead);
  c.land(*a.answer.flight, std::move(landing), now, no_jitter);
}

const cache_rules plain{.max_entries = 100, .ttl = 10s};

}  // namespace

TEST_CASE("an answer is fresh for its time and then fetched again", "[cache]") {
  cache_core c("c", plain);
  fetch(c, "a", number(1), at(0s));
  CHECK(ask(c, "a", at(10s - 1ns)).what == found::hit);
  const asked again = ask(c, "a", at(10s));
  CHECK(again.what == found::lead);
  CHECK_FALSE(again.answer.item);
  CHECK(ask(c, "a", at(10s)).what == found::follow);
  c.land(*again.answer.flight, number(2), at(11s), no_jitter);
  const asked hit = ask(c, "a", at(20s));
  REQUIRE(hit.what == found::hit);
  CHECK(number_in(hit.answer.item) == 2);
  CHECK(hit.answer.quality == quality::cached);
}

TEST_CASE("jitter shortens an answer's time, and never lengthens it", "[cache]") {
  cache_core c("c", {.max_entries = 10, .ttl = 10s, .ttl_jitter = 0.2});
  c.put("whole", number(1), at(0s), no_jitter);
  c.put("short", number(1), at(0s), full_jitter);
  CHECK(c.look_up("whole", at(10s - 1ns), age::fresh).item);
  CHECK_FALSE(c.look_up("whole", at(10s), age::fresh).item);
  CHECK(c.look_up("short", at(8s - 1ns), age::fresh).item);
  CHECK_FALSE(c.look_up("short", at(8s), age::fresh).item);
}

TEST_CASE("without a time nothing is kept, and one flight is shared", "[cache]") {
  cache_core c("c", {.max_entries = 10});
  const asked leader = ask(c, "a", at(0s));
  REQUIRE(leader.what == found::lead);
  CHECK(ask(c, "a", at(0s)).what == found::follow);
  c.land(*leader.answer.flight, number(1), at(0s), no_jitter);
  CHECK(c.snapshot().entries == 0);
  CHECK(ask(c, "a", at(0s)).what == found::lead);
}

TEST_CASE("stale while revalidate: the old answer, and one asker fetches", "[cache]") {
  cache_core c("c", {.max_entries = 10, .ttl = 10s, .stale_while_revalidate = 5s});
  fetch(c, "a", number(1), at(0s));
  const asked first = ask(c, "a", at(12s));
  CHECK(first.what == found::refresh);
  CHECK(number_in(first.answer.item) == 1);
  CHECK(first.answer.quality == quality::stale);
  const asked second = ask(c, "a", at(12s));
  CHECK(second.what == found::hit);
  CHECK(second.answer.quality == quality::stale);
  SECTION("until it lands") {
    c.land(*first.answer.flight, number(2), at(13s), no_jitter);
    const asked third = ask(c, "a", at(13s));
    CHECK(third.what == found::hit);
    CHECK(number_in(third.answer.item) == 2);
    CHECK(third.answer.quality == quality::cached);
  }
  SECTION("or the bound is reached: then they wait for it") {
    CHECK(ask(c, "a", at(15s - 1ns)).what == found::hit);
    CHECK(ask(c, "a", at(15s)).what == found::follow);
  }
  SECTION("or it is given up: then another one fetches") {
    c.hand_over(*first.answer.flight);
    CHECK(ask(c, "a", at(12s)).what == found::refresh);
  }
}

TEST_CASE("refresh ahead: a fresh answer is fetched again before its time is over", "[cache]") {
  cache_core c("c", {.max_entries = 10, .ttl = 10s, .refresh_ahead = 0.75});
  fetch(c, "a", number(1), at(0s));
  CHECK(ask(c, "a", at(7500ms - 1ns)).what == found::hit);
  const asked due = ask(c, "a", at(7500ms));
  CHECK(due.what == found::refresh);
  CHECK(due.answer.quality == quality::cached);
  CHECK(ask(c, "a", at(8s)).what == found::hit);
  c.land(*due.answer.flight, number(2), at(8s), no_jitter);
  CHECK(ask(c, "a", at(15s)).what == found::hit);
  CHECK(ask(c, "a", at(16s)).what == found::refresh);
}

TEST_CASE("stale if error: stands in for a failure, within its bound", "[cache]") {
  cache_core c("c", {.max_entries = 10, .ttl = 10s, .stale_if_error = 20s});
  fetch(c, "a", number(1), at(0s));
  const auto fail_at = [&](hf::time_point now, verdict v) {
    const asked a = ask(c, "a", now);
    REQUIRE(a.what == found::lead);
    return c.land(*a.answer.flight, failing(v), now, no_jitter);
  };
  for (const verdict v :
       {verdict::failure, verdict::overloaded, verdict::throttled, verdict::neutral}) {
    const auto stand_in = fail_at(at(29s), v);
    CHECK(number_in(stand_in.item) == 1);
    CHECK(stand_in.quality == quality::stale);
  }
  // The service has answered: there is nothing of that kind.
  CHECK_FALSE(fail_at(at(29s), verdict::request_fault).item);
  CHECK_FALSE(fail_at(at(30s), verdict::failure).item);
}

TEST_CASE("kept failures last for their own time, and are no answers", "[cache]") {
  cache_core c("c", {.max_entries = 10, .ttl = 10s, .stale_while_revalidate = 10s,
                     .stale_if_error = 10s, .refresh_ahead = 0.5, .negative_ttl = 2s});
  fetch(c, "a", failing(verdict::failure, true), at(0s));
  const asked hit = ask(c, "a", at(2s - 1ns));
  CHECK(hit.what == found::hit);
  CHECK(hit.answer.item->is_failure());
  CHECK_FALSE(c.look_up("a", at(1s), age::stands_in).item);
  CHECK(ask(c, "a", at(2s)).what == found::lead);
}

TEST_CASE("a failure is not kept over an answer that can stand in for it", "[cache]") {
  cache_core c("c", {.max_entries = 10, .ttl = 10s, .stale_if_error = 20s, .negative_ttl = 5s});
  fetch(c, "a", number(1), at(0s));
  fetch(c, "a", failing(verdict::failure, true), at(15s));
  CHECK(number_in(c.look_up("a", at(16s), age::stands_in).item) == 1);
  // But a fault of the request is the truth of today.
  fetch(c, "a", failing(verdict::request_fault, true), at(16s));
  CHECK_FALSE(c.look_up("a", at(16s), age::stands_in).item);
  CHECK(ask(c, "a", at(17s)).answer.item->is_failure());
}

TEST_CASE("what is forgotten during a fetch is not kept afterwards", "[cache]") {
  cache_core c("c", plain);
  const asked leader = ask(c, "a", at(0s));
  SECTION("erased") {
    CHECK_FALSE(c.erase("a"));
    CHECK_FALSE(c.land(*leader.answer.flight, number(1), at(0s), no_jitter).stored);
    CHECK(ask(c, "a", at(0s)).what == found::lead);
  }
  SECTION("cleared") {
    c.clear();
    c.land(*leader.answer.flight, number(1), at(0s), no_jitter);
    CHECK(ask(c, "a", at(0s)).what == found::lead);
  }
  SECTION("replaced") {
    c.put("a", number(2), at(0s), no_jitter);
    c.land(*leader.answer.flight, number(1), at(0s), no_jitter);
    CHECK(number_in(ask(c, "a", at(0s)).answer.item) == 2);
  }
  SECTION("erased, and fetched anew meanwhile") {
    c.erase("a");
    const asked next = ask(c, "a", at(0s));
    REQUIRE(next.what == found::lead);
    c.land(*leader.answer.flight, number(1), at(0s), no_jitter);
    CHECK(ask(c, "a", at(0s)).what == found::follow);
    c.land(*next.answer.flight, number(2), at(0s), no_jitter);
    CHECK(number_in(ask(c, "a", at(0s)).answer.item) == 2);
  }
}

TEST_CASE("a flight that everybody left leaves nothing behind", "[cache]") {
  cache_core c("c", plain);
  for (int i = 0; i < 10; ++i) {
    const asked leader = ask(c, "a", at(0s));
    REQUIRE(leader.what == found::lead);
    CHECK(c.snapshot().flights == 1);
    c.hand_over(*leader.answer.flight);
    CHECK(c.snapshot().flights == 0);
  }
  CHECK(c.snapshot().entries == 0);
}

TEST_CASE("the least recently used answer makes room", "[cache]") {
  cache_core c("c", {.max_entries = 2, .ttl = 10s});
  fetch(c, "a", number(1), at(0s));
  fetch(c, "b", number(2), at(0s));
  CHECK(ask(c, "a", at(1s)).what == found::hit);
  fetch(c, "c", number(3), at(1s));
  CHECK(ask(c, "a", at(1s)).what == found::hit);
  CHECK(ask(c, "c", at(1s)).what == found::hit);
  CHECK(c.snapshot().evicted == 1);
  CHECK(ask(c, "b", at(1s)).what == found::lead);
}

TEST_CASE("weights are bounded, and what is too heavy is not kept", "[cache]") {
  cache_core c("c", {.max_entries = 10, .max_weight = 10, .ttl = 10s});
  fetch(c, "a", number(1, 4), at(0s));
  fetch(c, "b", number(2, 4), at(0s));
  fetch(c, "c", number(3, 4), at(0s));
  CHECK(c.snapshot().weight == 8);
  CHECK_FALSE(c.look_up("a", at(0s), age::fresh).item);
  fetch(c, "d", number(4, 11), at(0s));
  CHECK(c.snapshot().weight == 8);
  CHECK(c.snapshot().too_heavy == 1);
  c.put("b", number(5, 10), at(0s), no_jitter);
  CHECK(c.snapshot().weight == 10);
  CHECK(c.snapshot().entries == 1);
}

TEST_CASE("new rules keep what fits, and the flights", "[cache]") {
  cache_core c("c", plain);
  for (int i = 0; i < 10; ++i) fetch(c, std::to_string(i), number(i), at(0s));
  const asked leader = ask(c, "under way", at(0s));
  c.reconfigure({.max_entries = 3, .ttl = 1s, .stale_if_error = 5s});
  CHECK(c.snapshot().entries == 3);
  CHECK(c.snapshot().hits == 0);
  CHECK(ask(c, "9", at(9s)).what == found::hit);  // for the time it was given
  CHECK(number_in(c.look_up("9", at(14s), age::stands_in).item) == 9);
  c.land(*leader.answer.flight, number(1), at(0s), no_jitter);
  CHECK(ask(c, "under way", at(1s - 1ns)).what == found::hit);
  CHECK(ask(c, "under way", at(1s)).what == found::lead);
}

TEST_CASE("cache model check: the order of use, exactly", "[cache]") {
  const test::seed seed(GENERATE(range(1u, 41u)));
  std::mt19937_64 random(seed);
  const std::size_t bound = 1 + random() % 12;
  const std::size_t weight_bound = random() % 2 ? 0 : 5 + random() % 20;
  cache_core c("c", {.max_entries = bound, .max_weight = weight_bound, .ttl = 10s});
  struct model_entry {
    std::string key;
    int value;
    std::size_t weight;
    hf::time_point until;
  };
  std::list<model_entry> model;  // most recently used first
  const auto find = [&](const std::string& key) {
    return std::ranges::find(model, key, &model_entry::key);
  };
  const auto weight = [&] {
    std::size_t sum = 0;
    for (const auto& e : model) sum += e.weight;
    return sum;
  };
  const auto store = [&](const std::string& key, int value, std::size_t w, hf::time_point now) {
    if (const auto i = find(key); i != model.end()) model.erase(i);
    if (weight_bound != 0 && w > weight_bound) return;
    model.push_front({key, value, w, now + 10s});
    while (model.size() > bound || (weight_bound != 0 && weight() > weight_bound)) {
      model.pop_back();
    }
  };
  hf::time_point now = at(0s);
  for (int i = 0; i < 3000; ++i) {
    now += hf::duration(static_cast<std::int64_t>(random() % 1'000'000'000));
    const std::string key = std::to_string(random() % 16);
    const auto w = static_cast<std::size_t>(1 + random() % 7);
    switch (random() % 8) {
      case 0: {
        const auto e = find(key);
        REQUIRE(c.erase(key) == (e != model.end()));
        if (e != model.end()) model.erase(e);
        break;
      }
      case 1:
        c.put(key, number(i, w), now, no_jitter);
        store(key, i, w, now);
        break;
      default: {
        const asked a = ask(c, key, now);
        const auto e = find(key);
        if (e != model.end() && now < e->until) {
          REQUIRE(a.what == found::hit);
          REQUIRE(number_in(a.answer.item) == e->value);
          model.splice(model.begin(), model, e);
        } else {
          REQUIRE(a.what == found::lead);
          if (random() % 3 == 0) {
            c.hand_over(*a.answer.flight);
          } else {
            c.land(*a.answer.flight, number(i, w), now, no_jitter);
            store(key, i, w, now);
          }
        }
        break;
      }
    }
    const auto s = c.snapshot();
    REQUIRE(s.entries == model.size());
    REQUIRE(s.weight == weight());
    REQUIRE(s.flights == 0);
  }
}

TEST_CASE("many parts keep the bound together", "[cache]") {
  cache_core c("c", {.max_entries = 1000, .ttl = 10s});
  for (int i = 0; i < 20'000; ++i) c.put(std::to_string(i), number(i), at(0s), no_jitter);
  const auto s = c.snapshot();
  CHECK(s.entries <= 1000);
  CHECK(s.entries > 900);  // every part has its share
}

TEST_CASE("the order is exact up to 127 answers, and above there are parts", "[cache]") {
  cache_core whole("c", {.max_entries = 127, .ttl = 10s});
  for (int i = 0; i < 127; ++i) whole.put(std::to_string(i), number(i), at(0s), no_jitter);
  CHECK(whole.snapshot().entries == 127);

  // A part keeps its share of the weight, and nothing that is heavier.
  const auto parts_of = [](std::size_t max_entries) {
    constexpr std::size_t all = 960;
    cache_core c("c", {.max_entries = max_entries, .max_weight = all, .ttl = 10s});
    std::size_t heaviest = all;
    while (!c.put("a", number(1, heaviest), at(0s), no_jitter)) --heaviest;
    return all / heaviest;
  };
  CHECK(parts_of(127) == 1);
  CHECK(parts_of(128) == 2);
  CHECK(parts_of(255) == 2);
  CHECK(parts_of(256) == 4);
  CHECK(parts_of(1'000'000) == 16);
}

TEST_CASE("every part keeps something, however small the bounds become", "[cache]") {
  cache_core c("c", {.max_entries = 1024, .ttl = 10s});
  c.reconfigure({.max_entries = 5, .max_weight = 5, .ttl = 10s});
  CHECK(c.put("a", number(1), at(0s), no_jitter));
  CHECK_FALSE(c.put("b", number(1, 2), at(0s), no_jitter));
  CHECK(c.snapshot().entries == 1);
}

TEST_CASE("a cleared cache is empty in every part", "[cache]") {
  cache_core c("c", {.max_entries = 1024, .ttl = 10s});
  for (int i = 0; i < 200; ++i) c.put(std::to_string(i), number(i), at(0s), no_jitter);
  c.clear();
  CHECK(c.snapshot().entries == 0);
  CHECK(c.snapshot().weight == 0);
  for (int i = 0; i < 200; ++i) CHECK_FALSE(c.look_up(std::to_string(i), at(0s), age::stands_in).item);
}

TEST_CASE("a cache without bounds of its own keeps one answer, which weighs one", "[cache]") {
  cache_core c("c", {.ttl = 10s, .negative_ttl = 10s});
  fetch(c, "a", failing(verdict::failure, true), at(0s));
  CHECK(c.snapshot().weight == 1);
  fetch(c, "b", number(2), at(0s));
  CHECK(c.snapshot().entries == 1);
  CHECK(c.look_up("b", at(0s), age::fresh).item);
}

TEST_CASE("an answer says how good it is, whatever it was told before", "[cache]") {
  cache_core c("c", {.max_entries = 10, .ttl = 10s, .stale_while_revalidate = 5s});
  fetch(c, "a", number(1), at(0s));
  cache_answer answer;
  REQUIRE(c.ask("a", at(12s), answer) == found::refresh);
  REQUIRE(answer.quality == quality::stale);
  c.land(*answer.flight, number(2), at(12s), no_jitter);
  CHECK(c.ask("a", at(13s), answer) == found::hit);
  CHECK(answer.quality == quality::cached);
}

TEST_CASE("what is kept is destroyed without the lock", "[cache]") {
  cache_core c("c", {.max_entries = 2, .max_weight = 4, .ttl = 10s});
  int destroyed = 0;
  const auto asks_when_destroyed = [&](std::size_t weight = 1) -> cache_landing {
    std::shared_ptr<int> value(new int(1), [&](int* p) {
      delete p;
      ++destroyed;
      c.snapshot();  // locks every part
    });
    return {.item = kept_ptr(new kept_value<std::shared_ptr<int>>(std::move(value),
                                                                  verdict::success)),
            .weight = weight,
            .store = true};
  };
  const auto put = [&](std::string_view key, std::size_t weight = 1) {
    c.put(key, asks_when_destroyed(weight), at(0s), no_jitter);
  };
  SECTION("replaced") {
    put("a");
    put("a");
    CHECK(destroyed == 1);
  }
  SECTION("replaced by a fetch") {
    put("a");
    const asked again = ask(c, "a", at(10s));
    c.land(*again.answer.flight, asks_when_destroyed(), at(10s), no_jitter);
    CHECK(destroyed == 1);
  }
  SECTION("evicted") {
    put("a");
    put("b");
    put("c");
    CHECK(destroyed == 1);
    c.reconfigure({.max_entries = 1, .ttl = 10s});
    CHECK(destroyed == 2);
  }
  SECTION("too heavy") {
    put("a", 5);
    CHECK(destroyed == 1);
  }
  SECTION("erased") {
    put("a");
    c.erase("a");
    CHECK(destroyed == 1);
  }
  c.clear();
  CHECK(c.snapshot().entries == 0);
}

TEST_CASE("threads: at most one leader for a key at any time", "[cache][threads]") {
  // Real threads.
  cache_core c("c", {.max_entries = 4, .ttl = 1ms});
  std::vector<std::atomic<int>> leaders(6);
  std::atomic<int> seen{0};
  std::atomic<bool> two{false};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937_64 random(static_cast<unsigned>(t));
        for (int i = 0; i < 20'000; ++i) {
          const auto k = static_cast<std::size_t>(random() % leaders.size());
          const hf::time_point now(hf::duration(i) * 10'000);
          cache_answer a;
          const found what = c.ask(std::to_string(k), now, a);
          if (what != found::lead) continue;
          if (leaders[k].fetch_add(1) != 0) two = true;
          ++seen;
          leaders[k].fetch_sub(1);
          if (random() % 4 == 0) {
            c.hand_over(*a.flight);
          } else {
            c.land(*a.flight, number(1), now, no_jitter);
          }
        }
      });
    }
  }
  CHECK_FALSE(two);
  CHECK(seen > 100);
  CHECK(c.snapshot().flights == 0);
}
