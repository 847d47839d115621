// SPDX-License-Identifier: BSL-1.0
// What docs/fallback.md shows.
#include "scenario.hpp"

#include <boost/asio/error.hpp>
#include <stdexcept>
#include <string>

namespace {

using namespace std::string_literals;

hf::failure refused() { return hf::failure(asio::error::connection_refused); }

asio::awaitable<hf::result<std::string>> down() { co_return refused(); }

}  // namespace

TEST_CASE("fallback: the first link that can answers, and the caller can learn which") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    auto ask_gpt4 = down;
    auto ask_gpt35 = [](hf::call_context& ctx) -> asio::awaitable<std::string> {
      co_await hf::sleep_for(60s, ctx.token());
      co_return "too late";
    };
    auto from_cache = [] { return "what I said last time"s; };
    const hf::time_point start = time.now();
    // [links]
    auto chain = hf::resilient(ask_gpt4)
                     .with(hf::timeout{2s})
                     .fallback(hf::resilient(ask_gpt35).with(hf::timeout{1s}),  // a chain
                               {.name = "gpt-3.5"})
                     .fallback(from_cache,                                      // a function
                               {.name = "cache", .quality = hf::quality::cached})
                     .fallback("Please ask again."s, {.name = "apology"});      // a value

    hf::ledger ledger;
    hf::result<std::string> answer = co_await chain.run({.ledger = &ledger});
    CHECK(answer.value() == "what I said last time");
    CHECK(ledger.answered_by() == "cache");
    CHECK(ledger.quality() == hf::quality::cached);
    CHECK(ledger.attempts() == 3);  // gpt-4, gpt-3.5 and the cache
    // [/links]
    CHECK(time.now() - start == 1s);
  });
}

TEST_CASE("fallback: a cache gives the last good answer") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    bool is_down = false;
    auto ask = [&]() -> asio::awaitable<hf::result<std::string>> {
      if (is_down) co_return refused();
      co_return "42";
    };
    hf::timeout timeout{2s};
    hf::circuit_breaker breaker{{.name = "gpt-4"}};
    // [last_good]
    hf::cache<std::string> cache{{.name = "answers"}};
    auto answer_to = [&](std::string question, hf::ledger& ledger) -> asio::awaitable<std::string> {
      auto answer = co_await hf::resilient(ask, {.ledger = &ledger, .cache_key = question})
                        .with(timeout)
                        .with(breaker)
                        .fallback(cache)
                        .fallback("Please ask again."s, {.name = "apology"});
      co_return answer.value();
    };
    hf::ledger ledger;
    std::string answer = co_await answer_to("6 times 7?", ledger);
    is_down = true;
    answer = co_await answer_to("6 times 7?", ledger);
    CHECK(answer == "42");
    CHECK(ledger.answered_by() == "answers");
    CHECK(ledger.quality() == hf::quality::cached);
    answer = co_await answer_to("Another question", ledger);
    CHECK(answer == "Please ask again.");
    // [/last_good]
  });
}

TEST_CASE("fallback: a function may ask why it is needed") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    // [why]
    auto apologise = [](const hf::failure& why) { return "Sorry: " + why.message(); };
    auto guard = hf::pipeline().fallback(apologise);
    hf::result<std::string> answer = co_await guard(down);
    CHECK(answer.value() == "Sorry: Connection refused");
    // [/why]
  });
}

TEST_CASE("fallback: not for faults of the request") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    const auto bad_input = []() -> asio::awaitable<std::string> {
      throw boost::system::system_error(asio::error::invalid_argument, "no question");
      co_return "";
    };
    const auto guard = hf::pipeline().fallback("another answer"s);
    hf::result<std::string> answer = co_await guard(bad_input);
    CHECK(answer.has_error());
    CHECK(answer.error().code() == asio::error::invalid_argument);

    const auto eager = hf::pipeline().fallback("another answer"s, {.on_request_fault = true});
    answer = co_await eager(bad_input);
    CHECK(answer.value() == "another answer");
  });
}

TEST_CASE("fallback: which verdicts it takes over from") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    const auto call = []() -> asio::awaitable<int> { co_return 1; };
    for (const auto v : {hf::verdict::success, hf::verdict::slow, hf::verdict::failure,
                         hf::verdict::throttled, hf::verdict::overloaded,
                         hf::verdict::request_fault, hf::verdict::neutral}) {
      const auto guard = hf::pipeline().classify([v](const int& n) {
        return n == 1 ? v : hf::verdict::success;
      }).fallback(2);
      const hf::result<int> answer = co_await guard(call);
      const bool kept = v == hf::verdict::success || v == hf::verdict::slow ||
                        v == hf::verdict::request_fault;
      INFO(hf::to_string(v));
      CHECK(answer.value() == (kept ? 1 : 2));
    }
  });
}

TEST_CASE("fallback: a condition of its own") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    // [only_if]
    // Only where a policy of ours refused; what the service itself says is passed on.
    auto rejected = [](const hf::failure* f, hf::verdict) {
      return f && f->code() == hf::condition::rejected;
    };
    hf::circuit_breaker breaker{{.name = "search", .consecutive_failures = 1}};
    auto guard = hf::pipeline().with(breaker).fallback("from the index of yesterday"s,
                                                       {.only_if = rejected});
    hf::result<std::string> answer = co_await guard(down);
    CHECK(answer.error().code() == asio::error::connection_refused);
    answer = co_await guard(down);
    CHECK(answer.value() == "from the index of yesterday");
    // [/only_if]
  });
}

TEST_CASE("fallback: where every link fails, the failure that says most is returned") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    // [all_fail]
    hf::circuit_breaker open_breaker{{.name = "backup"}};
    open_breaker.isolate();

    auto guard = hf::pipeline().fallback(hf::resilient(down).with(open_breaker));
    hf::result<std::string> answer = co_await guard(down);
    // Not the refusal of the second link: the first one's own failure says more.
    CHECK(answer.error().code() == asio::error::connection_refused);
    // [/all_fail]
  });
}

TEST_CASE("fallback: an outage says more than a fault of the request, that more than a refusal") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    const auto wrong = []() -> asio::awaitable<std::string> {
      throw boost::system::system_error(asio::error::invalid_argument);
      co_return "";
    };
    hf::circuit_breaker isolated{{.name = "backup"}};
    isolated.isolate();
    const auto refused = hf::resilient(down).with(isolated);

    // The last link is asked although the one before it found a fault of the request.
    bool asked = false;
    const auto last = [&asked] {
      asked = true;
      return down();
    };
    hf::result<std::string> r = co_await hf::pipeline().fallback(wrong).fallback(last)(down);
    CHECK(r.error().code() == asio::error::connection_refused);
    CHECK(asked);
    r = co_await hf::pipeline().fallback(wrong)(down);
    CHECK(r.error().code() == asio::error::connection_refused);
    r = co_await hf::pipeline().fallback(down, {.on_request_fault = true})(wrong);
    CHECK(r.error().code() == asio::error::connection_refused);
    r = co_await hf::pipeline().fallback(refused, {.on_request_fault = true})(wrong);
    CHECK(r.error().code() == asio::error::invalid_argument);
    r = co_await hf::pipeline().with(isolated).fallback(wrong)(down);
    CHECK(r.error().code() == asio::error::invalid_argument);
  });
}

TEST_CASE("fallback: a timeout outside reaches the links") {
  const hf::duration took = in_virtual_time([](auto&) -> asio::awaitable<void> {
    const auto hangs = []() -> asio::awaitable<std::string> {
      co_await hf::sleep_for(60s);
      co_return "too late";
    };
    const auto guard = hf::pipeline().fallback(hangs).with(hf::timeout{3s});
    const hf::result<std::string> answer = co_await guard(down);
    CHECK(answer.error().code() == hf::condition::timed_out);
  });
  CHECK(took == 3s);
}

TEST_CASE("fallback: also one that asks why it is needed and takes its time") {
  std::string asked;
  const hf::duration took = in_virtual_time([&](auto&) -> asio::awaitable<void> {
    const auto hangs = [&](const hf::failure& why) -> asio::awaitable<std::string> {
      asked = why.message();
      co_await hf::sleep_for(60s);
      co_return "too late";
    };
    const auto guard = hf::pipeline().fallback(hangs).with(hf::timeout{3s});
    const hf::result<std::string> answer = co_await guard(down);
    CHECK(answer.error().code() == hf::condition::timed_out);
  });
  CHECK(asked == "Connection refused");
  CHECK(took == 3s);
}

TEST_CASE("fallback: links of the same name are told apart in the ledger") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    const auto empty = []() -> std::string { throw std::runtime_error("empty"); };
    const auto guard = hf::pipeline().fallback(empty).fallback("sorry"s);
    hf::ledger ledger;
    const hf::result<std::string> answer = co_await guard(down, {.ledger = &ledger});
    CHECK(answer.value() == "sorry");
    CHECK(ledger.attempts() == 3);
  });
}
