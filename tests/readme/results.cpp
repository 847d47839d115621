// SPDX-License-Identifier: BSL-1.0
// What docs/results.md shows.
#include "scenario.hpp"

#include <boost/asio/error.hpp>
#include <boost/outcome/result.hpp>
#include <boost/system/errc.hpp>
#include <boost/system/result.hpp>
#include <holdfast/format.hpp>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

namespace {

using namespace std::string_literals;

class quota_exceeded : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace

TEST_CASE("results: a value or a failure") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    hf::circuit_breaker breaker{{.name = "gpt-4"}};
    breaker.isolate();
    auto ask = []() -> asio::awaitable<std::string> { co_return "hello"; };
    auto guard = hf::pipeline().with(breaker);
    std::string log;
    // [use]
    hf::result<std::string> answer = co_await guard(ask);
    if (answer) {
      log = answer.value();
    } else if (answer.error().code() == hf::condition::rejected) {
      log = "not even asked: " + answer.error().message();
    } else {
      log = answer.error().message();
    }
    // [/use]
    CHECK(log == "not even asked: circuit_breaker 'gpt-4': the circuit was isolated by hand");
  });
}

TEST_CASE("results: value() throws what the call threw") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    // [throws]
    auto throws = []() -> asio::awaitable<int> {
      throw quota_exceeded("no tokens left");
      co_return 0;
    };
    auto guard = hf::pipeline().with(hf::retry{.max_attempts = 2, .wait = {.base = 0s}});
    hf::result<int> answer = co_await guard(throws);

    CHECK(answer.error().code() == hf::errc::exception);
    CHECK(answer.error().message() == "no tokens left (after 2 attempts)");
    CHECK_THROWS_AS(answer.value(), quota_exceeded);  // the original, unchanged
    // [/throws]

    // [hf_error]
    auto hangs = [](hf::call_context& ctx) -> asio::awaitable<int> {
      co_await hf::sleep_for(1min, ctx.token());
      co_return 0;
    };
    hf::result<int> late = co_await hf::pipeline().with(hf::timeout{1s})(hangs);
    try {
      late.value();
      FAIL("no exception");
    } catch (const hf::error& e) {  // a boost::system::system_error
      CHECK(e.code() == hf::errc::attempt_timeout);
      CHECK(e.why().policy() == hf::policy_kind::timeout);
    }
    // [/hf_error]
  });
}

TEST_CASE("results: calls that report their errors") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    // [calls]
    // A call may return a result of ours: no exception is thrown anywhere.
    auto dial = []() -> asio::awaitable<hf::result<int>> {
      co_return hf::failure(asio::error::connection_refused);
    };
    // Or one of Boost.System's, Boost.Outcome's, or a std::expected.
    auto lookup = []() -> asio::awaitable<boost::system::result<int>> {
      co_return boost::system::error_code(asio::error::host_not_found);
    };
    auto guard = hf::pipeline();
    hf::result<int> dialled = co_await guard(dial);
    CHECK(dialled.error().code() == asio::error::connection_refused);
    hf::result<int> found = co_await guard(lookup);
    CHECK(found.error().code() == asio::error::host_not_found);
    // One that gives only an error code has no value: an error is a failure.
    auto flush = []() -> asio::awaitable<boost::system::error_code> {
      co_return asio::error::broken_pipe;
    };
    hf::result<void> flushed = co_await guard(flush);
    CHECK(flushed.error().code() == asio::error::broken_pipe);
    // [/calls]
    // [value_or]
    CHECK(hf::value_or(found, 42) == 42);
    CHECK(fmt::format("{}", found.error()) == "Host not found (authoritative)");
    CHECK(fmt::format("{}", hf::breaker_state::half_open) == "half_open");
    // [/value_or]
    const auto by_outcome = []() -> asio::awaitable<boost::outcome_v2::result<int>> {
      co_return 7;
    };
    const hf::result<int> seven = co_await guard(by_outcome);
    CHECK(seven.value() == 7);
    const auto by_system = []() -> asio::awaitable<boost::system::result<int>> { co_return 8; };
    const hf::result<int> eight = co_await guard(by_system);
    CHECK(eight.value() == 8);
  });
}

TEST_CASE("results: codes and conditions") {
  // [conditions]
  const boost::system::error_code open = hf::errc::circuit_open;
  CHECK(open == hf::condition::rejected);
  CHECK(open == boost::system::errc::resource_unavailable_try_again);

  const boost::system::error_code late = hf::errc::total_timeout;
  CHECK(late == hf::condition::timed_out);
  CHECK(late == boost::system::errc::timed_out);

  const std::error_code gone = make_error_code(hf::errc::cancelled);
  CHECK(gone == std::errc::operation_canceled);
  // [/conditions]
}

TEST_CASE("results: one classifier decides what an outcome means") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    // [classifier]
    struct reply {
      int status;
      std::optional<std::chrono::seconds> retry_after;
    };
    struct http_classifier {
      hf::classification operator()(const reply& r) const {
        if (r.status == 429) return {hf::verdict::throttled, r.retry_after};
        if (r.status == 503) return {hf::verdict::overloaded, r.retry_after};
        if (r.status >= 500) return hf::verdict::failure;
        if (r.status >= 400) return hf::verdict::request_fault;
        return hf::verdict::success;
      }
    };

    unsigned calls = 0;
    auto ask = [&]() -> asio::awaitable<reply> {
      if (++calls == 1) co_return reply{429, 2s};
      co_return reply{200, {}};
    };
    auto guard = hf::pipeline().with(hf::retry{}).classify(http_classifier());
    hf::result<reply> answer = co_await guard(ask);
    CHECK(answer.value().status == 200);  // asked again, not before two seconds had passed
    // [/classifier]
    CHECK(calls == 2);

    const auto always_503 = []() -> asio::awaitable<reply> { co_return reply{503, {}}; };
    answer = co_await guard(always_503);
    CHECK(answer.value().status == 503);  // a bad value stays a value
  });
}

TEST_CASE("results: the classifiers that come with the library") {
  in_virtual_time([](hf::testing::virtual_time& time) -> asio::awaitable<void> {
    const auto bad_input = []() -> asio::awaitable<int> {
      throw boost::system::system_error(asio::error::invalid_argument, "no question");
      co_return 0;
    };
    const auto quota = []() -> asio::awaitable<int> {
      throw quota_exceeded("no tokens left");
      co_return 0;
    };
    hf::circuit_breaker breaker{{.name = "default"}};
    const auto by_default = hf::pipeline().with(breaker);
    hf::result<int> r = co_await by_default(bad_input);
    CHECK(breaker.snapshot(time.now()).consecutive_failures == 0);
    r = co_await by_default(quota);
    CHECK(breaker.snapshot(time.now()).consecutive_failures == 1);

    hf::circuit_breaker chosen{{.name = "chosen"}};
    // [count_only]
    auto by_code = hf::pipeline().with(chosen).classify(
        hf::count_only{hf::condition::timed_out, boost::system::errc::connection_refused});
    auto by_type = hf::pipeline().with(chosen).classify(
        hf::count_only_exceptions<quota_exceeded>());
    // [/count_only]
    r = co_await by_code(quota);
    CHECK(chosen.snapshot(time.now()).consecutive_failures == 0);
    const auto dial = []() -> asio::awaitable<hf::result<int>> {
      co_return hf::failure(asio::error::connection_refused);
    };
    r = co_await by_code(dial);
    CHECK(chosen.snapshot(time.now()).consecutive_failures == 1);
    r = co_await by_type(dial);
    CHECK(chosen.snapshot(time.now()).consecutive_failures == 1);
    r = co_await by_type(quota);
    CHECK(chosen.snapshot(time.now()).consecutive_failures == 2);
  });
}

TEST_CASE("results: the ledger tells the whole story") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    auto dial = []() -> asio::awaitable<hf::result<std::string>> {
      co_return hf::failure(asio::error::connection_refused);
    };
    // [ledger]
    auto guard = hf::pipeline()
                     .with(hf::retry{.max_attempts = 2, .wait = {.base = 0s}})
                     .fallback("from the cache"s,
                               {.name = "cache", .quality = hf::quality::cached});
    hf::ledger ledger;
    hf::result<std::string> answer = co_await guard(dial, {.ledger = &ledger});

    CHECK(ledger.answered_by() == "cache");
    CHECK(ledger.quality() == hf::quality::cached);
    CHECK(ledger.describe() ==
          "call attempt 1: failure (Connection refused) in 0s\n"
          "call attempt 2: failure (Connection refused) in 0s\n"
          "'cache' attempt 1: success in 0s\n"
          "answered by cache: cached\n");
    // [/ledger]
  });
}

TEST_CASE("results: tags reach the call") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    // [tags]
    auto ask = [](hf::call_context& ctx) -> asio::awaitable<std::string> {
      co_return "for " + std::string(ctx.tag("tenant"));
    };
    const hf::tag_set tags{{"tenant", "acme"}};
    hf::result<std::string> answer = co_await hf::pipeline()(ask, {.tags = &tags});
    CHECK(answer.value() == "for acme");
    // [/tags]
  });
}
