// SPDX-License-Identifier: BSL-1.0
// What docs/cache.md shows.
#include "scenario.hpp"

#include <boost/asio/detached.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <string>
#include <tuple>
#include <vector>

using namespace std::string_literals;

namespace {

int calls = 0;
bool down = false;

/// A service that takes a second.
auto ask(std::string question) {
  return [question](hf::call_context& ctx) -> asio::awaitable<std::string> {
    ++calls;
    co_await hf::sleep_for(1s, ctx.token());
    if (down) throw boost::system::system_error(asio::error::connection_refused);
    co_return question + " 42.";
  };
}

void begin() {
  calls = 0;
  down = false;
}

}  // namespace

TEST_CASE("cache: an answer is kept") {
  begin();
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    // [basic]
    hf::cache<std::string> answers{{.name = "answers", .ttl = 10min}};
    auto guard = hf::pipeline().with(hf::timeout{2s}).with(answers);

    std::string question = "6 times 7?";
    hf::result<std::string> first = co_await guard(ask(question), {.cache_key = question});
    hf::result<std::string> second = co_await guard(ask(question), {.cache_key = question});
    CHECK(second.value() == "6 times 7? 42.");
    CHECK(calls == 1);
    // [/basic]
    CHECK(first.value() == second.value());
  });
}

TEST_CASE("cache: single flight") {
  begin();
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    const auto executor = co_await asio::this_coro::executor;
    const hf::time_point start = time.now();
    // [flight]
    hf::cache<std::string> answers{{.ttl = 0s}};  // keeps nothing, shares what is under way
    auto guard = hf::pipeline().with(answers);

    auto patient = [&]() -> asio::awaitable<void> {
      std::ignore = co_await guard(ask("q"), {.cache_key = "q"});
    };
    for (int i = 0; i < 100; ++i) asio::co_spawn(executor, patient, asio::detached);
    co_await hf::sleep_for(500ms);

    // A follower keeps its own deadline, and leaves alone.
    hf::result<std::string> hasty =
        co_await guard(ask("q"), {.deadline = time.now() + 100ms, .cache_key = "q"});
    CHECK(hasty.error().code() == hf::condition::timed_out);

    co_await hf::sleep_for(1s);
    CHECK(calls == 1);
    CHECK(answers.snapshot().shared == 100);
    // [/flight]
    CHECK(time.now() - start == 1600ms);
  });
}

TEST_CASE("cache: keys from tags") {
  begin();
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    // [keys]
    hf::cache<std::string> answers{{.key = [](const hf::call_context& ctx) {
      return std::string(ctx.tag("tenant")) + '/' + std::string(ctx.tag("question"));
    }}};
    auto guard = hf::pipeline().with(answers);
    hf::tag_set tags{{"tenant", "acme"}, {"question", "q"}};
    std::ignore = co_await guard(ask("q"), {.tags = &tags});
    // [/keys]
    CHECK(answers.snapshot().entries == 1);
    CHECK(answers.erase("acme/q"));
  });
}

TEST_CASE("cache: stale answers") {
  begin();
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    // [stale]
    hf::cache<std::string> answers{{.ttl = 1min,
                                    .stale_while_revalidate = 5min,
                                    .stale_if_error = 1h}};
    auto guard = hf::pipeline().with(answers);
    std::ignore = co_await guard(ask("q"), {.cache_key = "q"});

    co_await hf::sleep_for(2min);
    hf::time_point start = time.now();
    hf::ledger ledger;
    std::ignore = co_await guard(ask("q"), {.ledger = &ledger, .cache_key = "q"});
    CHECK(ledger.quality() == hf::quality::stale);
    CHECK(time.now() == start);  // nobody waits: the new answer is fetched in the background

    co_await hf::sleep_for(30min);
    down = true;
    hf::result<std::string> answer =
        co_await guard(ask("q"), {.ledger = &ledger, .cache_key = "q"});
    CHECK(answer.value() == "q 42.");
    CHECK(ledger.quality() == hf::quality::stale);
    // [/stale]
    CHECK(calls == 3);
  });
}

TEST_CASE("cache: as a link, and what is similar") {
  begin();
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    // [links]
    hf::cache<std::string> answers{{.name = "answers", .ttl = 1min, .stale_if_error = 24h}};
    hf::similar_answers<std::string> similar{answers, {.name = "similar questions"}};
    hf::circuit_breaker breaker{{.name = "gpt-4"}};
    auto guard = hf::pipeline()
                     .with(breaker)
                     .with(answers)
                     .fallback(hf::resilient(ask("gpt-3.5:")), {.name = "gpt-3.5"})
                     .fallback(answers.link(), {.name = "cache"})
                     .fallback(similar.link(), {.name = "similar"})
                     .fallback("Please ask again in a minute."s, {.name = "apology"});

    std::ignore =
        co_await guard(ask("How large is Norway?"), {.cache_key = "How large is Norway?"});
    down = true;
    hf::ledger ledger;
    std::string again = "how large is norway";
    hf::result<std::string> answer =
        co_await guard(ask(again), {.ledger = &ledger, .cache_key = again});
    CHECK(answer.value() == "How large is Norway? 42.");
    CHECK(ledger.answered_by() == "similar");
    CHECK(ledger.quality() == hf::quality::similar);
    // [/links]
  });
}
