// SPDX-License-Identifier: BSL-1.0
// `.fallback(cache)`: the last known good answer. And what the caller says with `resilient`.
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/use_future.hpp>
#include <catch2/catch_all.hpp>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "../support/stage.hpp"

using namespace std::chrono_literals;
using namespace std::string_literals;
using namespace test;
using hf::errc;
using hf::quality;
using Catch::Matchers::ContainsSubstring;

namespace {

using answers = hf::cache<std::string>;

/// Answers with its name and the number of the call, or is down.
struct service {
  std::string name = "answer";
  int calls = 0;
  bool down = false;

  asio::awaitable<std::string> ask() {
    const int number = ++calls;
    co_await hf::sleep_for(1ms);
    if (down) throw boost::system::system_error(asio::error::connection_refused);
    co_return name + ' ' + std::to_string(number);
  }
  auto call() {
    return [this] { return ask(); };
  }
};

struct outcome {
  std::optional<hf::result<std::string>> result;
  hf::ledger ledger;

  std::string value() const { return result->has_value() ? result->assume_value() : "none"; }
  boost::system::error_code code() const {
    return result->has_error() ? result->assume_error().code() : boost::system::error_code();
  }
};

/// One operation of the pipeline; an empty key is none.
template <class Pipeline>
asio::awaitable<void> ask(const Pipeline& pipeline, service& s, std::string key, outcome& out) {
  out.ledger = {};
  out.result.emplace(
      co_await pipeline(s.call(), {.ledger = &out.ledger, .cache_key = key}));
}

/// A service with a cache as its only policy, and the outcome of the last operation.
struct client {
  explicit client(const answers& cache) : guard(hf::pipeline().fallback(cache)) {}

  asio::awaitable<void> ask(std::string key) { return ::ask(guard, gpt, std::move(key), last); }

  stage st;
  service gpt;
  decltype(hf::pipeline().fallback(std::declval<answers>())) guard;
  outcome last;
};

}  // namespace

TEST_CASE("V1: the line that the library was asked for gives the last known good answer",
          "[cache][fallback]") {
  stage st;
  service gpt;
  const hf::timeout timeout{2s};
  const hf::circuit_breaker breaker{{.name = "gpt", .consecutive_failures = 1}};
  const answers cache;
  st.play([&]() -> asio::awaitable<void> {
    const std::string question = "6 times 7?";
    auto answer = co_await hf::resilient(gpt.call(), {.cache_key = question})
                      .with(timeout)
                      .with(breaker)
                      .fallback(cache);
    CHECK(answer.value() == "answer 1");

    gpt.down = true;
    for (int i = 0; i < 2; ++i) {  // the service fails, then the circuit is open
      hf::ledger ledger;
      answer = co_await hf::resilient(gpt.call(), {.ledger = &ledger, .cache_key = question})
                   .with(timeout)
                   .with(breaker)
                   .fallback(cache);
      CHECK(answer.value() == "answer 1");
      CHECK(ledger.answered_by() == "cache");
      CHECK(ledger.quality() == quality::cached);
    }
    CHECK(gpt.calls == 2);
  });
}

TEST_CASE("fallback cache: any age, unless stale_if_error bounds it", "[cache][fallback]") {
  const auto ages = [](std::optional<hf::duration> bound) {
    stage st;
    service gpt;
    const answers cache({.name = "a", .ttl = 10s, .ttl_jitter = 0, .stale_if_error = bound});
    const auto guard = hf::pipeline().fallback(cache);
    std::string seen;
    st.play([&]() -> asio::awaitable<void> {
      outcome o;
      co_await ask(guard, gpt, "q", o);
      gpt.down = true;
      for (const hf::duration wait : {5s, 10s, 10s, 3600s * 24 * 365}) {
        co_await hf::sleep_for(wait);
        co_await ask(guard, gpt, "q", o);
        seen += o.result->has_value() ? std::string(hf::to_string(o.ledger.quality())) : "none";
        seen += ' ';
      }
    });
    return seen;
  };
  CHECK(ages(std::nullopt) == "cached stale stale stale ");
  CHECK(ages(10s) == "cached stale none none ");
  CHECK(ages(0s) == "cached none none none ");
  CHECK(ages(hf::duration::max()) == "cached stale stale stale ");
}

TEST_CASE("fallback cache: answers to different questions never mix", "[cache][fallback]") {
  const answers cache({.name = "answers"});
  client c(cache);
  c.st.play([&]() -> asio::awaitable<void> {
    co_await c.ask("one");
    co_await c.ask("two");
    c.gpt.down = true;
    co_await c.ask("one");
    CHECK(c.last.value() == "answer 1");
    co_await c.ask("two");
    CHECK(c.last.value() == "answer 2");
    co_await c.ask("three");
    CHECK(c.last.code() == asio::error::connection_refused);
    CHECK_THAT(c.last.ledger.describe(),
               ContainsSubstring("'answers': no answer in cache 'answers'\n"));
  });
  CHECK(cache.snapshot().entries == 2);
}

TEST_CASE("fallback cache: without a key nothing is kept or given, and the ledger says so",
          "[cache][fallback]") {
  const answers cache({.name = "answers"});
  client c(cache);
  c.st.play([&]() -> asio::awaitable<void> {
    co_await c.ask("");
    CHECK(c.last.value() == "answer 1");
    CHECK_THAT(c.last.ledger.describe(), ContainsSubstring("call: no key for cache 'answers'\n"));
    CHECK(cache.snapshot().entries == 0);
    c.gpt.down = true;
    co_await c.ask("");
    CHECK(c.last.code() == asio::error::connection_refused);
    CHECK_THAT(c.last.ledger.describe(),
               ContainsSubstring("'answers': no key for cache 'answers'\n"));
    CHECK(c.last.ledger.entries().back().code == errc::no_key);
  });
}

TEST_CASE("fallback cache: one answer for all calls without a key, if told so",
          "[cache][fallback]") {
  const answers cache({.name = "status", .one_answer = true});
  client c(cache);
  c.st.play([&]() -> asio::awaitable<void> {
    co_await c.ask("");
    co_await c.ask("a key");
    c.gpt.down = true;
    co_await c.ask("");
    CHECK(c.last.value() == "answer 1");
    co_await c.ask("a key");
    CHECK(c.last.value() == "answer 2");
  });
  // As a policy inside the stack it has the same key.
  c.gpt.down = false;
  const answers inside({.one_answer = true});
  const auto cached = hf::pipeline().with(inside);
  c.st.play([&]() -> asio::awaitable<void> {
    outcome first;
    outcome second;
    co_await ask(cached, c.gpt, "", first);
    co_await ask(cached, c.gpt, "", second);
    CHECK(second.value() == first.value());
  });
  CHECK_THROWS_WITH(
      answers({.name = "x", .key = [](auto&) { return "k"s; }, .one_answer = true}),
      "cache 'x': one_answer = true: needs no key function; leave one of them out");
}

TEST_CASE("fallback cache: what any link below answers is kept", "[cache][fallback]") {
  stage st;
  service gpt4{.name = "gpt-4"};
  service gpt35{.name = "gpt-3.5"};
  const answers cache({.name = "cache"});
  const auto guard = hf::pipeline().fallback(gpt35.call(), {.name = "gpt-3.5"}).fallback(cache);
  st.play([&]() -> asio::awaitable<void> {
    outcome o;
    co_await ask(guard, gpt4, "q", o);
    gpt4.down = true;
    co_await ask(guard, gpt4, "q", o);
    CHECK(o.value() == "gpt-3.5 1");
    gpt35.down = true;
    co_await ask(guard, gpt4, "q", o);
    CHECK(o.value() == "gpt-3.5 1");
    CHECK(o.ledger.answered_by() == "cache");
    CHECK(o.ledger.quality() == quality::cached);
    // What it gave itself is not kept as if it were new.
    CHECK(cache.snapshot().stored == 2);
  });
}

TEST_CASE("fallback cache: only answers are kept", "[cache][fallback]") {
  stage st;
  service gpt;
  const answers cache;
  const auto judge = [](const hf::result<std::string>& r) {
    if (r.has_value()) {
      return r.value() == "answer 2" ? hf::verdict::failure : hf::verdict::success;
    }
    // This caller takes "not found" for an answer; it is no value to keep.
    return r.error().code() == boost::system::errc::no_such_file_or_directory
               ? hf::verdict::success
               : hf::verdict::failure;
  };
  const auto guard = hf::pipeline().fallback(cache).classify(judge);
  st.play([&]() -> asio::awaitable<void> {
    outcome o;
    co_await ask(guard, gpt, "q", o);
    co_await ask(guard, gpt, "q", o);  // judged bad: the last good one stands in for it
    CHECK(o.value() == "answer 1");
    const auto missing = []() -> asio::awaitable<std::string> {
      throw boost::system::system_error(
          make_error_code(boost::system::errc::no_such_file_or_directory));
    };
    const auto none = co_await guard(missing, {.cache_key = "q"});
    CHECK(none.has_error());
    gpt.down = true;
    co_await ask(guard, gpt, "q", o);
    CHECK(o.value() == "answer 1");
  });
}

TEST_CASE("fallback cache: functions of the user's that throw change no answer and no failure",
          "[cache][fallback]") {
  stage st;
  service gpt;
  bool throws = true;
  const answers choosy({.store_if = [](const std::string&) -> bool { throw std::bad_alloc(); }});
  const answers keyed({.key = [&](const hf::call_context&) -> std::string {
    if (throws) throw std::runtime_error("no key");
    return "k";
  }});
  const auto guard = hf::pipeline().fallback(choosy);
  const auto by_function = hf::pipeline().fallback(keyed);
  const auto by_link = hf::pipeline().fallback(keyed.link());
  st.play([&]() -> asio::awaitable<void> {
    outcome o;
    co_await ask(guard, gpt, "q", o);
    CHECK(o.value() == "answer 1");
    co_await ask(by_function, gpt, "", o);
    CHECK(o.value() == "answer 2");
    gpt.down = true;
    co_await ask(guard, gpt, "q", o);
    CHECK(o.code() == asio::error::connection_refused);
    co_await ask(by_function, gpt, "", o);
    CHECK(o.code() == asio::error::connection_refused);
    co_await ask(by_link, gpt, "", o);
    CHECK(o.code() == asio::error::connection_refused);
    throws = false;
    gpt.down = false;
    co_await ask(by_function, gpt, "", o);
    gpt.down = true;
    co_await ask(by_function, gpt, "", o);
    CHECK(o.value() == "answer 6");
  });
}

TEST_CASE("fallback cache: nothing is given after the caller's cancellation",
          "[cache][fallback]") {
  stage st;
  const answers cache({.one_answer = true});
  const auto hang = []() -> asio::awaitable<std::string> {
    co_await hf::sleep_for(1h);
    co_return "late";
  };
  const auto guard = hf::pipeline().fallback(cache);
  asio::cancellation_signal signal;
  std::optional<hf::result<std::string>> ended;
  st.play([&]() -> asio::awaitable<void> {
    service gpt;
    outcome o;
    co_await ask(guard, gpt, "", o);
    guard(hang, {},
          asio::bind_executor(st.context, asio::bind_cancellation_slot(
                                              signal.slot(), [&](hf::result<std::string> r) {
                                                ended.emplace(std::move(r));
                                              })));
    co_await hf::sleep_for(1s);
    signal.emit(asio::cancellation_type::terminal);
  });
  REQUIRE(ended);
  CHECK(ended->error().code() == errc::cancelled);
}

TEST_CASE("fallback cache: a cache inside the stack refreshes in the background as ever",
          "[cache][fallback]") {
  stage st;
  service gpt;
  const answers inside({.name = "inside",
                        .ttl = 10s,
                        .ttl_jitter = 0,
                        .stale_while_revalidate = 1min});
  const answers last({.name = "last"});
  const auto guard = hf::pipeline().with(inside).fallback(last);
  st.play([&]() -> asio::awaitable<void> {
    outcome o;
    co_await ask(guard, gpt, "q", o);
    co_await hf::sleep_for(20s);
    const auto asked = st.time.now();
    co_await ask(guard, gpt, "q", o);
    CHECK(o.value() == "answer 1");
    CHECK(st.time.now() == asked);
    co_await hf::sleep_for(1s);
    CHECK(gpt.calls == 2);
    co_await ask(guard, gpt, "q", o);
    CHECK(o.value() == "answer 2");
    gpt.down = true;
    co_await hf::sleep_for(1h);
    co_await ask(guard, gpt, "q", o);
    CHECK(o.value() == "answer 2");
    CHECK(o.ledger.answered_by() == "last");
  });
}

TEST_CASE("fallback cache: prints itself", "[cache][fallback]") {
  const answers cache({.name = "answers", .ttl = 10s, .ttl_jitter = 0, .one_answer = true});
  CHECK(hf::pipeline().fallback(cache).describe() ==
        "fallback 'answers': cached answers, the last good one of each key; cache 'answers': at "
        "most 1000 answers, fresh for 10s, one answer for all calls without a key\n");
  CHECK(hf::pipeline().fallback(answers().link()).describe() ==
        "fallback 'cache': cached answers\n");
  CHECK(hf::pipeline().fallback(cache, {.name = "yesterday"}).describe().starts_with(
      "fallback 'yesterday': cached answers"));
}

TEST_CASE("V6: options are given with resilient, or with the token", "[chain]") {
  stage st;
  service gpt;
  const answers cache({.name = "answers"});
  const auto deaf = [](hf::call_context& ctx) -> asio::awaitable<std::string> {
    co_await hf::sleep_for(1h, ctx.token());
    co_return "late";
  };
  st.play([&]() -> asio::awaitable<void> {
    hf::ledger ledger;
    const auto chain = hf::resilient(gpt.call(), {.ledger = &ledger, .cache_key = "q"}).with(cache);
    co_await expect_answer(chain.run(), "answer 1"s);
    CHECK(ledger.attempts() == 1);
    const auto again = co_await chain(asio::deferred);  // the same key
    CHECK(again.value() == "answer 1");
    CHECK(ledger.quality() == quality::cached);

    co_await expect_answer(chain.run({.cache_key = "other"}), "answer 2"s);
    const auto third = co_await chain({.cache_key = "third"}, asio::deferred);
    CHECK(third.value() == "answer 3");
    const auto fourth = co_await chain.on(st.context)({.cache_key = "fourth"}, asio::deferred);
    CHECK(fourth.value() == "answer 4");
    CHECK(ledger.quality() == quality::cached);  // those wrote to none

    const auto begun = st.time.now();
    const auto late = co_await hf::resilient(deaf, {.deadline = begun + 1s});
    CHECK(late.error().code() == errc::total_timeout);
    CHECK(st.time.now() == begun + 1s);

    const auto guard = hf::pipeline().with(cache);
    const auto kept = co_await guard(gpt.call(), {.cache_key = "q"}, asio::deferred);
    CHECK(kept.value() == "answer 1");
    const auto out_of_time =
        co_await guard(deaf, {.deadline = st.time.now() + 1s}, asio::deferred);
    CHECK(out_of_time.error().code() == errc::total_timeout);
  });
}

TEST_CASE("V6: a pipeline is started with any token, from outside", "[chain]") {
  stage st;
  service gpt;
  const auto guard = hf::pipeline().with(hf::timeout{1s});
  auto answer = guard(gpt.call(), {}, asio::bind_executor(st.context, asio::use_future));
  std::optional<std::string> seen;
  hf::pipeline().with(hf::timeout{1s})(
      gpt.call(), {}, asio::bind_executor(st.context, [&](hf::result<std::string> r) {
        seen = r.value();
      }));
  st.time.run();
  CHECK(answer.get().value() == "answer 1");
  CHECK(seen == "answer 2");
}

TEST_CASE("a chain with call options is no link", "[chain]") {
  service gpt;
  const auto link = hf::resilient(gpt.call(), {.cache_key = "q"});
  CHECK_THROWS_WITH(hf::pipeline().fallback(link),
                    "fallback: call options: a link has those of the operation; give them to the "
                    "chain that it is a link of");
  CHECK_NOTHROW(hf::pipeline().fallback(hf::resilient(gpt.call())));
}
