// SPDX-License-Identifier: BSL-1.0
#include <holdfast/detail/breaker_family_core.hpp>

#include <catch2/catch_all.hpp>
#include <fmt/format.h>
#include <holdfast/invalid_options.hpp>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::breaker_family_options;
using hf::breaker_state;
using hf::verdict;
using hf::detail::breaker_family_core;
using hf::detail::breaker_permit;

namespace {

constexpr hf::time_point start{1h};

breaker_family_core family(breaker_family_options o) { return breaker_family_core(std::move(o), 42); }

/// One call of a key. False: refused.
bool call(breaker_family_core& f, std::string_view key, verdict v, hf::time_point now) {
  auto* const e = f.use(key, now);
  REQUIRE(e);
  breaker_permit permit;
  const bool admitted = e->try_enter(permit, now);
  if (admitted) e->leave(permit, v, now);
  e->release();
  return admitted;
}

void open(breaker_family_core& f, std::string_view key, hf::time_point now) {
  while (call(f, key, verdict::failure, now)) {
  }
}

bool has(const breaker_family_core& f, std::string_view key) {
  auto* const e = f.peek(key);
  if (e) e->release();
  return e != nullptr;
}

std::string tenant(int n) { return fmt::format("tenant-{}", n); }

}  // namespace

TEST_CASE("family: each key has a breaker of its own", "[breaker_family]") {
  auto f = family({.breaker = {.consecutive_failures = 2}});
  CHECK(call(f, "a", verdict::failure, start));
  CHECK(call(f, "b", verdict::failure, start));
  CHECK(call(f, "a", verdict::failure, start));
  CHECK_FALSE(call(f, "a", verdict::success, start));
  CHECK(call(f, "b", verdict::success, start));
  CHECK(call(f, "", verdict::success, start));
  const auto s = f.snapshot();
  CHECK(s.keys == 3);
  CHECK(s.not_closed == 1);
}

TEST_CASE("family: keys come and go as in a map", "[breaker_family]") {
  // Against a model: what was called within the time is there, and keeps its count.
  auto f = family({.breaker = {.consecutive_failures = 1'000'000}, .idle_after = 10s});
  std::map<std::string, std::pair<unsigned, hf::time_point>> model;
  std::mt19937 random(7);
  hf::time_point now = start;
  for (int i = 0; i < 20'000; ++i) {
    now += std::chrono::milliseconds(random() % 20);
    const std::string key = tenant(static_cast<int>(random() % (i < 10'000 ? 3000 : 300)));
    const bool known = has(f, key);
    auto& [failures, last] = model[key];
    if (!known) {
      REQUIRE((last == hf::time_point() || now - last >= 9s));  // never forgotten early
      failures = 0;
    }
    call(f, key, verdict::failure, now);
    last = now;
    ++failures;
    auto* const e = f.peek(key);
    REQUIRE(e);
    REQUIRE(e->snapshot(now).consecutive_failures == failures);
    e->release();
    if (i % 1000 == 999) {
      f.forget_idle(now);
      for (const auto& [k, m] : model) {
        if (now - m.second < 9s) REQUIRE(has(f, k));
        if (now - m.second > 11s) REQUIRE_FALSE(has(f, k));
      }
    }
  }
  CHECK(f.snapshot().forgotten > 1000);
}

TEST_CASE("bug 56: a family does not grow without bound", "[conformance][breaker_family]") {
  const int max = GENERATE(1, 10, 1000, 5000);
  auto f = family({.max_keys = static_cast<unsigned>(max)});
  int none = 0;
  for (int i = 0; i < 20'000; ++i) {
    auto* const e = f.use(tenant(i), start);
    if (e) {
      e->release();
    } else {
      ++none;
    }
  }
  CHECK(f.snapshot().keys <= static_cast<unsigned>(max));
  CHECK(none == 0);  // closed ones made room
  CHECK(has(f, tenant(19'999)));
}

TEST_CASE("family: who is not closed, or in use, is never forgotten", "[breaker_family]") {
  auto f = family({.breaker = {.consecutive_failures = 1}, .max_keys = 10, .idle_after = 1s});
  open(f, "broken", start);
  auto* const busy = f.use("busy", start);
  auto* const isolated = f.use("isolated", start);
  isolated->isolate(start);
  isolated->release();
  for (int i = 0; i < 1000; ++i) call(f, tenant(i), verdict::success, start + i * 1h);
  f.forget_idle(start + 2000h);
  CHECK(has(f, "broken"));
  CHECK(has(f, "busy"));
  CHECK(has(f, "isolated"));
  CHECK(f.snapshot().keys == 3);
  busy->release();
  f.forget_idle(start + 2001h);
  CHECK_FALSE(has(f, "busy"));
  CHECK(f.snapshot().keys == 2);
}

TEST_CASE("family: where nobody can make room there is none", "[breaker_family]") {
  auto f = family({.breaker = {.consecutive_failures = 1}, .max_keys = 3});
  for (const char* key : {"a", "b", "c"}) open(f, key, start);
  CHECK(f.use("d", start) == nullptr);
  CHECK(f.snapshot().keys == 3);
  auto* const a = f.peek("a");
  a->reset(start);
  a->release();
  auto* const d = f.use("d", start);
  REQUIRE(d);
  d->release();
  CHECK_FALSE(has(f, "a"));
}

TEST_CASE("family: the one that was idle longest makes room", "[breaker_family]") {
  auto f = family({.max_keys = 10});
  for (int i = 0; i < 10; ++i) call(f, tenant(i), verdict::success, start + i * 1s);
  call(f, tenant(0), verdict::success, start + 60s);
  call(f, "new", verdict::success, start + 61s);
  CHECK(has(f, tenant(0)));
  CHECK_FALSE(has(f, tenant(1)));
  CHECK(f.snapshot().forgotten == 1);
}

TEST_CASE("family: events are told with the key", "[breaker_family]") {
  auto f = family({.breaker = {.name = "search", .consecutive_failures = 1}});
  std::vector<std::string> heard;
  const auto subscription =
      f.on_transition([&](const hf::breaker_transition& t) { heard.push_back(t.name); });
  open(f, "acme", start);
  CHECK(heard == std::vector<std::string>{"search/acme"});
}

TEST_CASE("family: new options keep states and counts", "[breaker_family]") {
  auto f = family({.breaker = {.consecutive_failures = 3}, .max_keys = 100});
  open(f, "broken", start);
  call(f, "a", verdict::failure, start);
  for (int i = 0; i < 50; ++i) call(f, tenant(i), verdict::success, start);
  f.reconfigure({.breaker = {.consecutive_failures = 2}, .max_keys = 20});
  CHECK_FALSE(call(f, "broken", verdict::success, start));
  call(f, "a", verdict::failure, start);
  CHECK_FALSE(call(f, "a", verdict::success, start));
  // Keys above the new bound go as others come.
  for (int i = 100; i < 200; ++i) call(f, tenant(i), verdict::success, start + 1s);
  CHECK(f.snapshot().keys <= 20);
  CHECK_THROWS_AS(f.reconfigure({.max_keys = 0}), hf::invalid_options);
  CHECK_THROWS_AS(f.reconfigure({.breaker = {.window_calls = 50}}), hf::invalid_options);
  CHECK_FALSE(call(f, "a", verdict::success, start));
}

TEST_CASE("family: options out of range are refused", "[breaker_family]") {
  const auto refused = [](breaker_family_options o) {
    CHECK_THROWS_AS(hf::breaker_family(std::move(o)), hf::invalid_options);
  };
  refused({.max_keys = 0});
  refused({.max_keys = 100'000'001});
  refused({.idle_after = 999ms});
  refused({.breaker = {.window_calls = 100}});
  refused({.breaker = {.open_for = 0s}});
}

TEST_CASE("family: by hand", "[breaker_family]") {
  hf::breaker_family f({.breaker = {.name = "x"}, .max_keys = 1});
  CHECK(f.name() == "x");
  CHECK(f.state("a") == breaker_state::closed);
  CHECK_FALSE(f.snapshot_of("a"));
  CHECK(f.isolate("a"));
  CHECK(f.state("a") == breaker_state::isolated);
  CHECK(f.snapshot_of("a")->state == breaker_state::isolated);
  CHECK_FALSE(f.isolate("b"));
  f.reset("a");
  f.reset("b");
  CHECK(f.state("a") == breaker_state::closed);
}

TEST_CASE("family: threads come, go, open and forget", "[breaker_family][threads]") {
  hf::breaker_family f({.breaker = {.consecutive_failures = 3, .open_for = 1ms},
                        .max_keys = 600,
                        .idle_after = 1s});
  const auto work = [&f](unsigned seed) {
    std::mt19937 random(seed);
    auto& core = *f.core();
    for (int i = 0; i < 5000; ++i) {
      const hf::time_point now = start + i * 10ms;
      auto* const e = core.use(tenant(static_cast<int>(random() % 1000)), now);
      if (!e) continue;
      breaker_permit permit;
      if (e->try_enter(permit, now)) {
        e->leave(permit, random() % 2 ? verdict::failure : verdict::success, now);
      }
      e->release();
      if (i % 500 == 0) f.forget_idle(now);
      if (i % 700 == 0) f.reconfigure({.breaker = {.open_for = 2ms}, .max_keys = 500, .idle_after = 1s});
      if (i % 900 == 0) static_cast<void>(f.snapshot());
    }
  };
  std::vector<std::jthread> threads;
  for (unsigned n = 0; n < 4; ++n) threads.emplace_back(work, n);
  threads.clear();
  CHECK(f.snapshot().keys <= 600);
  for (int i = 0; i < 1000; ++i) f.reset(tenant(i));
  f.forget_idle(start + 1000h);
  CHECK(f.snapshot().keys == 0);  // nobody is counted as a user any more
}
