// SPDX-License-Identifier: BSL-1.0
// The cache in pipelines, in virtual time.
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/strand.hpp>
#include <catch2/catch_all.hpp>
#include <string>
#include <vector>

#include "../support/stage.hpp"

using namespace std::chrono_literals;
using namespace std::string_literals;
using namespace test;
using hf::errc;
using hf::quality;

namespace {

/// A service that counts its calls and does what it is told.
struct service {
  int calls = 0;
  int running = 0;
  hf::duration lasts = 1s;
  bool fails = false;

  struct at_work {
    explicit at_work(int& n) : count(n) { ++count; }
    at_work(const at_work&) = delete;
    ~at_work() { --count; }
    int& count;
  };

  asio::awaitable<std::string> ask(hf::call_context& ctx) {
    const at_work guard(running);
    const int number = ++calls;
    if (lasts > 0s) co_await hf::sleep_for(lasts, ctx.token());
    if (fails) throw boost::system::system_error(asio::error::connection_refused);
    co_return "answer " + std::to_string(number);
  }
  auto call() {
    return [this](hf::call_context& ctx) { return ask(ctx); };
  }
};

using answers = hf::cache<std::string>;

struct outcome {
  std::optional<hf::result<std::string>> result;
  hf::ledger ledger;
  hf::time_point at{};
};

template <class Pipeline, class Call>
asio::awaitable<void> ask_once(const Pipeline& pipeline, Call call, std::string key, outcome& out,
                               const stage& s) {
  out.result.emplace(
      co_await pipeline(std::move(call), {.ledger = &out.ledger, .cache_key = key}));
  out.at = s.time.now();
}

}  // namespace

TEST_CASE("cache: a hit makes no call", "[cache]") {
  stage s;
  service gpt;
  answers cache({.name = "answers", .ttl = 10s, .ttl_jitter = 0});
  const auto guard = hf::pipeline().with(hf::timeout{5s}).with(cache);
  s.play([&]() -> asio::awaitable<void> {
    outcome first;
    co_await ask_once(guard, gpt.call(), "q", first, s);
    CHECK(first.result->value() == "answer 1");
    CHECK(first.ledger.quality() == quality::primary);
    outcome second;
    co_await ask_once(guard, gpt.call(), "q", second, s);
    CHECK(second.result->value() == "answer 1");
    CHECK(second.ledger.quality() == quality::cached);
    CHECK(second.ledger.attempts() == 0);
    CHECK(second.ledger.describe() ==
          "call: answered by cache 'answers'\nanswered by the call: cached\n");
    CHECK(gpt.calls == 1);
    co_await hf::sleep_for(10s);
    outcome third;
    co_await ask_once(guard, gpt.call(), "q", third, s);
    CHECK(third.result->value() == "answer 2");
  });
  CHECK(cache.snapshot().hits == 1);
  CHECK(cache.snapshot().misses == 2);
}

TEST_CASE("cache: no key, no cache; a function makes keys from tags", "[cache]") {
  stage s;
  service gpt;
  answers cache({.ttl = 10s, .key = [](const hf::call_context& ctx) {
                   if (ctx.tag("throw") == "yes") throw std::runtime_error("no key");
                   return std::string(ctx.tag("tenant")) + std::string(ctx.tag("question"));
                 }});
  answers plain({.ttl = 10s});
  s.play([&]() -> asio::awaitable<void> {
    const auto without = hf::pipeline().with(plain);
    for (int i = 0; i < 2; ++i) {
      const auto r = co_await without(gpt.call());
      CHECK(r.has_value());
    }
    CHECK(gpt.calls == 2);
    const auto guard = hf::pipeline().with(cache);
    const hf::tag_set acme{{"tenant", "acme/"}, {"question", "q"}};
    const hf::tag_set other{{"tenant", "other/"}, {"question", "q"}};
    const hf::tag_set bad{{"throw", "yes"}};
    for (const auto* tags : {&acme, &acme, &other, &other}) {
      const auto r = co_await guard(gpt.call(), {.tags = tags});
      CHECK(r.has_value());
    }
    CHECK(gpt.calls == 4);
    const auto r = co_await guard(gpt.call(), {.tags = &bad});
    CHECK(r.value() == "answer 5");
    // A key that is brought wins.
    const auto k = co_await guard(gpt.call(), {.tags = &acme, .cache_key = "other/q"});
    CHECK(k.value() == "answer 4");
  });
}

TEST_CASE("single flight: one call answers all who ask meanwhile", "[cache]") {
  stage s;
  service gpt;
  answers cache({.name = "answers", .ttl = 0s});
  const auto guard = hf::pipeline().with(cache);
  std::vector<outcome> out(50);
  for (auto& o : out) s.start([&] { return ask_once(guard, gpt.call(), "q", o, s); });
  outcome other;
  s.start([&] { return ask_once(guard, gpt.call(), "another", other, s); });
  s.run();
  CHECK(gpt.calls == 2);
  for (auto& o : out) {
    CHECK(o.result->value() == "answer 1");
    CHECK(o.ledger.quality() == quality::primary);
  }
  CHECK(out.front().ledger.attempts() == 1);
  CHECK(out.back().ledger.attempts() == 0);
  CHECK(other.result->value() == "answer 2");
  CHECK(cache.snapshot().shared == 49);
  CHECK(cache.snapshot().entries == 0);
}

TEST_CASE("single flight: a failure is shared, and says nothing of the followers' own calls",
          "[cache]") {
  stage s;
  service gpt{.fails = true};
  answers cache;
  unsigned seen = 0;
  const auto guard = hf::pipeline().with(cache).fallback(
      "sorry"s, {.only_if = [&](const hf::failure* f, hf::verdict v) {
        if (f->attempts() == 0) seen += v == hf::verdict::neutral;
        return false;
      }});
  std::vector<outcome> out(5);
  for (auto& o : out) s.start([&] { return ask_once(guard, gpt.call(), "q", o, s); });
  s.run();
  CHECK(gpt.calls == 1);
  for (auto& o : out) CHECK(o.result->error().code() == asio::error::connection_refused);
  CHECK(out[0].result->error().attempts() == 1);
  CHECK(out[1].result->error().attempts() == 0);
  CHECK(seen == 4);
  CHECK(cache.snapshot().entries == 0);  // an error is not kept unless asked for
}

TEST_CASE("single flight: followers have their own deadlines", "[cache]") {
  stage s;
  service gpt{.lasts = 4s};
  answers cache;
  const auto patient = hf::pipeline().with(cache);
  const auto hasty = hf::pipeline().with(cache).with(hf::timeout{1s});
  outcome leader;
  outcome follower;
  s.start([&] { return ask_once(patient, gpt.call(), "q", leader, s); });
  s.start([&] { return ask_once(hasty, gpt.call(), "q", follower, s); });
  s.run();
  CHECK(follower.result->error().code() == errc::attempt_timeout);
  CHECK(follower.at - s.began == 1s);
  CHECK(leader.result->value() == "answer 1");
  CHECK(gpt.calls == 1);
}

TEST_CASE("single flight: a leader out of time hands over, and is told so itself", "[cache]") {
  stage s;
  service gpt{.lasts = 4s};
  answers cache;
  const auto patient = hf::pipeline().with(cache);
  const auto hasty = hf::pipeline().with(cache).with(hf::timeout{1s});
  outcome leader;
  outcome follower;
  s.start([&] { return ask_once(hasty, gpt.call(), "q", leader, s); });
  s.start([&] { return ask_once(patient, gpt.call(), "q", follower, s); });
  s.run();
  CHECK(leader.result->error().code() == errc::attempt_timeout);
  CHECK(follower.result->value() == "answer 2");
  CHECK(follower.at - s.began == 5s);
  CHECK(gpt.calls == 2);
}

TEST_CASE("single flight: a timeout of the attempt is the service's, and shared", "[cache]") {
  stage s;
  service gpt{.lasts = 4s};
  answers cache;
  const auto guard = hf::pipeline().with(hf::timeout{1s}).with(cache);
  std::vector<outcome> out(3);
  for (auto& o : out) s.start([&] { return ask_once(guard, gpt.call(), "q", o, s); });
  s.run();
  for (auto& o : out) CHECK(o.result->error().code() == errc::attempt_timeout);
  CHECK(gpt.calls == 1);
}

TEST_CASE("stale while revalidate: nobody waits, and the policies inside are in force", "[cache]") {
  stage s;
  service gpt;
  hf::bulkhead inside({.limit = 1});
  answers cache({.ttl = 10s, .ttl_jitter = 0, .stale_while_revalidate = 60s});
  const hf::tag_set tags{{"tenant", "acme"}};
  std::vector<std::string> tenants;
  s.play([&]() -> asio::awaitable<void> {
    const auto call = [&](hf::call_context& ctx) {
      tenants.emplace_back(ctx.tag("tenant"));
      return gpt.ask(ctx);
    };
    {
      // The pipeline does not outlive its last operation; what is in the background has its own.
      const auto guard = hf::pipeline().with(inside).with(cache).with(hf::timeout{3s});
      auto r = co_await guard(call, {.cache_key = "q"});
      CHECK(r.value() == "answer 1");
      co_await hf::sleep_for(20s);
      const hf::time_point before = s.time.now();
      for (int i = 0; i < 3; ++i) {
        outcome o;
        o.result.emplace(
            co_await guard(call, {.ledger = &o.ledger, .tags = &tags, .cache_key = "q"}));
        CHECK(o.result->value() == "answer 1");
        CHECK(o.ledger.quality() == quality::stale);
      }
      CHECK(s.time.now() == before);
    }
    co_await hf::sleep_for(500ms);
    CHECK(inside.in_use() == 1);
    CHECK(cache.snapshot().flights == 1);
    co_await hf::sleep_for(1s);
    CHECK(inside.in_use() == 0);
    CHECK(gpt.calls == 2);
    CHECK(cache.get("q", s.time.now()) == "answer 2");
  });
  CHECK(tenants == std::vector{""s, "acme"s});
  CHECK(cache.snapshot().refreshes == 1);
  CHECK(cache.snapshot().flights == 0);
}

TEST_CASE("stale while revalidate: a fetch that hangs is bounded, one that fails is made again",
          "[cache]") {
  stage s;
  service gpt{.lasts = 0s};
  answers cache({.ttl = 10s, .ttl_jitter = 0, .stale_while_revalidate = 1h, .refresh_timeout = 5s});
  const auto guard = hf::pipeline().with(cache);
  s.play([&]() -> asio::awaitable<void> {
    outcome o;
    co_await ask_once(guard, gpt.call(), "q", o, s);
    co_await hf::sleep_for(20s);
    gpt.lasts = 24h;
    co_await ask_once(guard, gpt.call(), "q", o, s);
    CHECK(o.result->value() == "answer 1");
    co_await hf::sleep_for(1s);
    CHECK(gpt.running == 1);
    co_await hf::sleep_for(5s);
    CHECK(gpt.running == 0);
    gpt.lasts = 0s;
    gpt.fails = true;
    co_await ask_once(guard, gpt.call(), "q", o, s);
    CHECK(o.result->value() == "answer 1");
    co_await hf::sleep_for(1s);
    gpt.fails = false;
    co_await ask_once(guard, gpt.call(), "q", o, s);
    CHECK(o.result->value() == "answer 1");
    co_await hf::sleep_for(1s);
    co_await ask_once(guard, gpt.call(), "q", o, s);
    CHECK(o.result->value() == "answer 4");
    CHECK(o.ledger.quality() == quality::cached);
  });
}

TEST_CASE("stale while revalidate: a call that cannot be copied is awaited", "[cache]") {
  stage s;
  service gpt;
  answers cache({.ttl = 10s, .ttl_jitter = 0, .stale_while_revalidate = 1h});
  const auto guard = hf::pipeline().with(cache);
  const auto once = [&] {
    return [&gpt, own = std::make_unique<int>(1)](hf::call_context& ctx) { return gpt.ask(ctx); };
  };
  s.play([&]() -> asio::awaitable<void> {
    outcome o;
    co_await ask_once(guard, once(), "q", o, s);
    co_await hf::sleep_for(20s);
    co_await ask_once(guard, once(), "q", o, s);
    CHECK(o.result->value() == "answer 2");
    // Should it fail, the old answer is still good.
    co_await hf::sleep_for(20s);
    gpt.fails = true;
    co_await ask_once(guard, once(), "q", o, s);
    CHECK(o.result->value() == "answer 2");
    CHECK(o.ledger.quality() == quality::stale);
    CHECK(gpt.calls == 3);
  });
}

TEST_CASE("refresh ahead: what is often asked for never expires", "[cache]") {
  stage s;
  service gpt;
  answers cache({.ttl = 10s, .ttl_jitter = 0, .refresh_ahead = 0.5});
  const auto guard = hf::pipeline().with(cache);
  s.play([&]() -> asio::awaitable<void> {
    outcome o;
    co_await ask_once(guard, gpt.call(), "q", o, s);
    for (int i = 0; i < 60; ++i) {
      co_await hf::sleep_for(1s);
      const hf::time_point before = s.time.now();
      co_await ask_once(guard, gpt.call(), "q", o, s);
      CHECK(s.time.now() == before);
      CHECK(o.ledger.quality() == quality::cached);
    }
  });
  CHECK(gpt.calls >= 10);
  CHECK(gpt.calls <= 12);
  CHECK(cache.snapshot().stale_hits == 0);
}

TEST_CASE("refreshes that fail are put off, the longer the more of them fail", "[cache]") {
  stage s;
  service gpt;
  answers cache({.ttl = 10s,
                 .ttl_jitter = 0,
                 .stale_while_revalidate = 10min,
                 .failed_refresh_wait = 1s,
                 .max_failed_refresh_wait = 5s});
  const auto guard = hf::pipeline().with(cache);
  const auto asked_for = [&](hf::duration d) -> asio::awaitable<int> {
    const int before = gpt.calls;
    outcome o;
    for (const auto end = s.time.now() + d; s.time.now() < end;) {
      co_await ask_once(guard, gpt.call(), "q", o, s);
      CHECK(o.result->has_value());
      co_await hf::sleep_for(1ms);
    }
    co_return gpt.calls - before;
  };
  s.play([&]() -> asio::awaitable<void> {
    outcome o;
    co_await ask_once(guard, gpt.call(), "q", o, s);
    co_await hf::sleep_for(10s);
    gpt.fails = true;
    int calls = co_await asked_for(1s);
    CHECK(calls == 1);
    calls = co_await asked_for(1min);  // 1, 2, 4, 5, 5, ... seconds apart, and the calls themselves
    CHECK(calls >= 9);
    CHECK(calls <= 14);
    gpt.fails = false;
    calls = co_await asked_for(8s);  // the first one succeeds
    CHECK(calls == 1);
    co_await hf::sleep_for(10s);
    gpt.fails = true;
    calls = co_await asked_for(2500ms);  // begins anew
    CHECK(calls == 2);
  });
}

TEST_CASE("stale if error: the leader, its followers, and who runs out of time get the old answer",
          "[cache]") {
  stage s;
  service gpt;
  answers cache({.name = "answers", .ttl = 10s, .ttl_jitter = 0, .stale_if_error = 1h});
  const auto guard = hf::pipeline().with(cache);
  const auto hasty = hf::pipeline().with(cache).with(hf::timeout{100ms});
  outcome first;
  s.play([&] { return ask_once(guard, gpt.call(), "q", first, s); });
  s.time.run_for(20s);
  gpt.fails = true;
  std::vector<outcome> out(3);
  outcome late;
  for (auto& o : out) s.start([&] { return ask_once(guard, gpt.call(), "q", o, s); });
  s.start([&] { return ask_once(hasty, gpt.call(), "q", late, s); });
  s.run();
  for (auto& o : out) {
    CHECK(o.result->value() == "answer 1");
    CHECK(o.ledger.quality() == quality::stale);
  }
  CHECK(late.result->value() == "answer 1");
  CHECK(late.ledger.quality() == quality::stale);
  CHECK(late.at - out[0].at == -900ms);
  CHECK(gpt.calls == 2);
  // Alone and out of time.
  outcome alone;
  gpt.fails = false;
  s.play([&] { return ask_once(hasty, gpt.call(), "q", alone, s); });
  CHECK(alone.result->value() == "answer 1");
  CHECK(alone.ledger.quality() == quality::stale);
  // An open circuit is a failure like any other.
  hf::circuit_breaker breaker;
  breaker.isolate();
  outcome open;
  const auto broken = hf::pipeline().with(breaker).with(cache);
  s.play([&] { return ask_once(broken, gpt.call(), "q", open, s); });
  CHECK(open.result->value() == "answer 1");
}

TEST_CASE("failures are kept if asked for, except refusals and cancellations", "[cache]") {
  stage s;
  service gpt{.lasts = 0s, .fails = true};
  answers cache({.ttl = 10s, .negative_ttl = 2s});
  hf::circuit_breaker breaker;
  const auto guard = hf::pipeline().with(breaker).with(cache);
  s.play([&]() -> asio::awaitable<void> {
    outcome o;
    for (int i = 0; i < 3; ++i) co_await ask_once(guard, gpt.call(), "q", o, s);
    CHECK(gpt.calls == 1);
    CHECK(o.result->error().code() == asio::error::connection_refused);
    CHECK(cache.snapshot().negative_hits == 2);
    co_await hf::sleep_for(2s);
    co_await ask_once(guard, gpt.call(), "q", o, s);
    CHECK(gpt.calls == 2);
    breaker.isolate();
    co_await ask_once(guard, gpt.call(), "other", o, s);
    CHECK(o.result->error().code() == errc::circuit_isolated);
    breaker.reset();
    gpt.fails = false;
    co_await ask_once(guard, gpt.call(), "other", o, s);
    CHECK(o.result->has_value());
  });
}

TEST_CASE("a predicate chooses what is kept; one that throws keeps nothing", "[cache]") {
  stage s;
  service gpt{.lasts = 0s};
  answers cache({.ttl = 10s, .store_if = [](const std::string& answer) {
                   if (answer == "answer 3") throw std::runtime_error("no");
                   return answer != "answer 1";
                 }});
  const auto guard = hf::pipeline().with(cache);
  s.play([&]() -> asio::awaitable<void> {
    outcome o;
    co_await ask_once(guard, gpt.call(), "q", o, s);
    CHECK(o.result->value() == "answer 1");
    co_await ask_once(guard, gpt.call(), "q", o, s);
    CHECK(o.result->value() == "answer 2");
    co_await ask_once(guard, gpt.call(), "q", o, s);
    CHECK(o.result->value() == "answer 2");
    co_await ask_once(guard, gpt.call(), "p", o, s);
    CHECK(o.result->value() == "answer 3");
    co_await ask_once(guard, gpt.call(), "p", o, s);
    CHECK(o.result->value() == "answer 4");
  });
  CHECK(cache.snapshot().flights == 0);
}

TEST_CASE("a value that is judged bad is not kept", "[cache]") {
  struct no_ones {
    hf::verdict operator()(const std::string& answer) const {
      return answer == "answer 1" ? hf::verdict::failure : hf::verdict::success;
    }
  };
  stage s;
  service gpt{.lasts = 0s};
  answers cache;
  const auto guard = hf::pipeline().with(cache).classify(no_ones());
  s.play([&]() -> asio::awaitable<void> {
    outcome o;
    co_await ask_once(guard, gpt.call(), "q", o, s);
    CHECK(o.result->value() == "answer 1");
    co_await ask_once(guard, gpt.call(), "q", o, s);
    CHECK(o.result->value() == "answer 2");
  });
}

TEST_CASE("the cache as a link answers from what is kept, marked, or leaves the failure",
          "[cache]") {
  stage s;
  service gpt{.lasts = 0s};
  answers cache({.name = "answers", .ttl = 10s, .ttl_jitter = 0, .stale_if_error = 1h});
  cache.put("kept", "of yesterday", s.time.now());
  const auto guard = hf::pipeline().fallback(cache.link(), {.name = "cache"});
  gpt.fails = true;
  s.play([&]() -> asio::awaitable<void> {
    outcome o;
    co_await ask_once(guard, gpt.call(), "kept", o, s);
    CHECK(o.result->value() == "of yesterday");
    CHECK(o.ledger.quality() == quality::cached);
    CHECK(o.ledger.answered_by() == "cache");
    co_await hf::sleep_for(20s);
    co_await ask_once(guard, gpt.call(), "kept", o, s);
    CHECK(o.ledger.quality() == quality::stale);
    co_await ask_once(guard, gpt.call(), "unknown", o, s);
    CHECK(o.result->error().code() == asio::error::connection_refused);
    CHECK_FALSE(o.ledger.answered());
    CHECK(o.ledger.describe() ==
          "call attempt 1: failure (Connection refused) in 0s\n"
          "'cache': no answer in cache 'answers'\n"
          "no answer\n");
    const auto none = co_await guard(gpt.call());
    CHECK(none.error().code() == asio::error::connection_refused);
  });
}

TEST_CASE("a link of a lesser service stays one when its cache answers", "[cache]") {
  stage s;
  service gpt4{.lasts = 0s, .fails = true};
  service gpt35{.lasts = 0s};
  answers cache;
  const auto guard = hf::pipeline().fallback(hf::resilient(gpt35.call()).with(cache),
                                             {.name = "gpt-3.5", .quality = quality::degraded});
  s.play([&]() -> asio::awaitable<void> {
    outcome o;
    co_await ask_once(guard, gpt4.call(), "q", o, s);
    CHECK(o.ledger.quality() == quality::degraded);
    co_await ask_once(guard, gpt4.call(), "q", o, s);
    CHECK(o.ledger.quality() == quality::cached);
    CHECK(o.ledger.answered_by() == "gpt-3.5");
    CHECK(gpt35.calls == 1);
  });
}

TEST_CASE("single flight works across executors", "[cache]") {
  // Two contexts, by turns.
  asio::io_context one{1};
  asio::io_context two{1};
  hf::cache<int> cache;
  const auto guard = hf::pipeline().with(cache);
  int calls = 0;
  std::vector<int> got;
  std::vector<const void*> resumed_on;
  const auto call = [&]() -> asio::awaitable<int> {
    ++calls;
    for (int i = 0; i < 3; ++i) {
      co_await asio::post(co_await asio::this_coro::executor, asio::deferred);
    }
    co_return 7;
  };
  const auto scene = [&](asio::io_context& own) -> asio::awaitable<void> {
    const auto r = co_await guard(call, {.cache_key = "q"});
    got.push_back(r.value());
    CHECK(own.get_executor().running_in_this_thread());
  };
  asio::co_spawn(one, scene(one), asio::detached);
  asio::co_spawn(two, scene(two), asio::detached);
  one.poll_one();
  for (int i = 0; i < 50; ++i) {
    two.poll();
    two.restart();
    one.poll_one();
    one.restart();
  }
  CHECK(calls == 1);
  CHECK(got == std::vector{7, 7});
}

TEST_CASE("reconfiguration under way", "[cache]") {
  stage s;
  service gpt;
  answers cache({.name = "answers", .ttl = 10s, .ttl_jitter = 0});
  const auto guard = hf::pipeline().with(cache);
  std::vector<outcome> out(3);
  for (auto& o : out) s.start([&] { return ask_once(guard, gpt.call(), "q", o, s); });
  s.time.run_for(500ms);
  CHECK_THROWS_AS(cache.reconfigure({.max_entries = 0, .ttl = -1s}), hf::invalid_options);
  cache.reconfigure({.ttl = 1s, .ttl_jitter = 0});
  s.run();
  for (auto& o : out) CHECK(o.result->value() == "answer 1");
  CHECK(cache.name() == "answers");
  CHECK(cache.get("q", s.time.now() + 1s - 1ns));
  CHECK_FALSE(cache.get("q", s.time.now() + 1s));
  CHECK(cache.snapshot().misses == 1);
}

TEST_CASE("a cache prints itself with every option", "[cache]") {
  const answers cache({.name = "answers",
                       .max_entries = 500,
                       .max_weight = 1'000'000,
                       .weight = [](std::string_view k, const std::string& v) {
                         return k.size() + v.size();
                       },
                       .ttl = 60s,
                       .ttl_jitter = 0.1,
                       .stale_while_revalidate = 30s,
                       .stale_if_error = 1h,
                       .refresh_ahead = 0.8,
                       .refresh_timeout = 5s,
                       .negative_ttl = 2s,
                       .store_if = [](const std::string&) { return true; },
                       .key = [](const hf::call_context&) { return "k"s; }});
  CHECK(
      hf::pipeline().with(cache).describe() ==
      "cache 'answers': at most 500 answers of a weight of 1000000, fresh for 60s less up to 10%, "
      "fetched again from 80% of it, stale while revalidating for 30s, stale on errors for 3600s, "
      "a refresh may take 5s and is put off for 1s to 60s if it fails, failures for 2s, a predicate chooses what is kept, a function makes "
      "the keys\n");
  CHECK(hf::pipeline().with(answers({.ttl = 0s})).describe() ==
        "cache '': at most 1000 answers, none kept, calls at the same time share one\n");
  const hf::similar_answers<std::string> similar;
  CHECK(hf::pipeline()
            .fallback(cache.link(), {.name = "cache"})
            .fallback(similar.link(), {.name = "similar"})
            .describe() ==
        "fallback 'similar': similar answers\nfallback 'cache': cached answers\n");
}

TEST_CASE("a cache names every option out of range", "[cache]") {
  try {
    answers cache({.name = "answers",
                   .max_entries = 0,
                   .max_weight = 1,
                   .ttl = -1s,
                   .ttl_jitter = 2,
                   .stale_while_revalidate = -1s,
                   .stale_if_error = -1s,
                   .refresh_ahead = -1,
                   .refresh_timeout = 0s,
                   .failed_refresh_wait = -1s,
                   .max_failed_refresh_wait = -1s,
                   .negative_ttl = -1s});
    FAIL("no exception");
  } catch (const hf::invalid_options& e) {
    CHECK(e.faults().size() == 11);
  }
}
