// SPDX-License-Identifier: BSL-1.0
// What an operation gives: values, failures, exceptions, codes.
#include <boost/asio/deferred.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/result.hpp>
#include <holdfast/resilient.hpp>
#include <memory>
#include <string>

#include "../support/in_virtual_time.hpp"

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;
using boost::system::error_code;
using virtual_time = hf::testing::virtual_time;

const auto reset_by_peer =
    boost::system::errc::make_error_code(boost::system::errc::connection_reset);

const hf::backoff one_ms{.kind = hf::backoff_kind::constant,
                         .base = 1ms,
                         .cap = 1ms,
                         .jitter = hf::jitter::none};

auto deaf() { return asio::bind_cancellation_slot(asio::cancellation_slot(), asio::deferred); }

struct custom_error : std::runtime_error {
  explicit custom_error(int n) : runtime_error("custom"), number(n) {}
  int number;
};

struct no_default {
  explicit no_default(int n) : number(n) {}
  int number;
};

}  // namespace

TEST_CASE("engine: values of every kind pass unchanged") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    const auto p = hf::pipeline().with(hf::timeout{1s}).with(hf::retry{});

    const auto move_only = []() -> asio::awaitable<std::unique_ptr<int>> {
      co_await hf::sleep_for(1ms);
      co_return std::make_unique<int>(3);
    };
    auto pointer = co_await p(move_only);
    REQUIRE(pointer.has_value());
    CHECK(*pointer.value() == 3);

    const auto without_default = [](hf::call_context&) -> asio::awaitable<no_default> {
      co_return no_default(4);
    };
    auto number = co_await p(without_default);
    REQUIRE(number.has_value());
    CHECK(number.value().number == 4);

    int ran = 0;
    const auto nothing = [&ran]() -> asio::awaitable<void> {
      ++ran;
      co_return;
    };
    hf::result<void> done = co_await p(nothing);
    CHECK(done.has_value());
    CHECK(ran == 1);

    const auto own_result = []() -> asio::awaitable<hf::result<std::string>> { co_return "five"; };
    hf::result<std::string> text = co_await p(own_result);
    REQUIRE(text.has_value());
    CHECK(text.value() == "five");

    const auto own_failure = []() -> asio::awaitable<hf::result<std::string>> {
      co_return hf::failure(reset_by_peer);
    };
    const auto once = hf::pipeline().with(hf::timeout{1s});
    hf::result<std::string> failed = co_await once(own_failure);
    REQUIRE(failed.has_error());
    CHECK(failed.error().code() == reset_by_peer);

    const auto boost_result = []() -> asio::awaitable<boost::system::result<int>> { co_return 6; };
    hf::result<int> six = co_await p(boost_result);
    REQUIRE(six.has_value());
    CHECK(six.value() == 6);

    const auto boost_failure = []() -> asio::awaitable<boost::system::result<void>> {
      co_return reset_by_peer;
    };
    hf::result<void> reset = co_await once(boost_failure);
    REQUIRE(reset.has_error());
    CHECK(reset.error().code() == reset_by_peer);
  });
}

TEST_CASE("engine: an awaitable on its own runs once") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    const auto call = [](int n) -> asio::awaitable<int> {
      co_await hf::sleep_for(1ms);
      co_return n;
    };
    const auto p = hf::pipeline().with(hf::timeout{1s});
    auto direct = co_await p(call(3));
    REQUIRE(direct.has_value());
    CHECK(direct.value() == 3);
    auto chain = hf::resilient(call(4)).with(hf::timeout{1s}).fallback(5);
    auto r = co_await std::move(chain);
    REQUIRE(r.has_value());
    CHECK(r.value() == 4);
  });
}

TEST_CASE("engine: exceptions come back unchanged") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    const auto throws = []() -> asio::awaitable<int> {
      co_await hf::sleep_for(1ms);
      throw custom_error(42);
    };
    const auto throws_context = [](hf::call_context& ctx) -> asio::awaitable<int> {
      co_await hf::sleep_for(1ms, ctx.token());
      throw custom_error(42);
    };
    const auto p = hf::pipeline().with(hf::timeout{1s});
    std::vector<hf::result<int>> results;
    results.push_back(co_await p(throws));
    results.push_back(co_await p(throws_context));
    for (auto& r : results) {
      REQUIRE(r.has_error());
      CHECK(r.error().code() == hf::errc::exception);
      CHECK(r.error().policy() == hf::policy_kind::none);
      try {
        static_cast<void>(r.value());
        FAIL("no exception");
      } catch (const custom_error& e) {
        CHECK(e.number == 42);
      }
    }
    const auto throws_code = []() -> asio::awaitable<int> {
      throw boost::system::system_error(reset_by_peer);
      co_return 1;
    };
    auto r = co_await p(throws_code);
    REQUIRE(r.has_error());
    CHECK(r.error().code() == reset_by_peer);
    CHECK_THROWS_AS(r.value(), boost::system::system_error);

    const auto refused = []() -> asio::awaitable<hf::result<int>> {
      co_return hf::failure(reset_by_peer);
    };
    auto coded = co_await p(refused);
    CHECK_THROWS_AS(coded.value(), hf::error);
  });
}

TEST_CASE("engine: a call that throws before it returns its awaitable fails like any other") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    int made = 0;
    const auto throws_early = [&made]() -> asio::awaitable<int> {
      if (++made < 3) throw custom_error(made);
      return []() -> asio::awaitable<int> { co_return 7; }();
    };
    const auto throws_early_context = [&made](hf::call_context&) -> asio::awaitable<int> {
      if (++made < 3) throw custom_error(made);
      return []() -> asio::awaitable<int> { co_return 7; }();
    };
    const auto timed =
        hf::pipeline().with(hf::timeout{1s}).with(hf::retry{.max_attempts = 3, .wait = one_ms});
    const auto untimed = hf::pipeline().with(hf::retry{.max_attempts = 3, .wait = one_ms});
    std::vector<hf::result<int>> results;
    results.push_back(co_await timed(throws_early));
    made = 0;
    results.push_back(co_await timed(throws_early_context));
    made = 0;
    results.push_back(co_await untimed(throws_early));
    for (auto& r : results) {
      REQUIRE(r.has_value());
      CHECK(r.value() == 7);
    }
    CHECK(made == 3);
    CHECK(time.timers() == 0);
  });
}

TEST_CASE("engine: a value that comes after the deadline is passed on") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    const auto p = hf::pipeline().with(hf::timeout{5ms});
    const auto late = []() -> asio::awaitable<int> {
      co_await hf::sleep_for(9ms, deaf());
      co_return 7;
    };
    const auto late_context = [](hf::call_context& ctx) -> asio::awaitable<int> {
      co_await hf::sleep_for(9ms, deaf());
      CHECK(ctx.cancelled());
      CHECK(ctx.remaining() == hf::duration::zero());
      co_return 7;
    };
    auto r = co_await p(late);
    REQUIRE(r.has_value());
    auto r2 = co_await p(late_context);
    REQUIRE(r2.has_value());
  });
}

TEST_CASE("engine: a failure of the call's own after the deadline is the one that is told") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    const auto p = hf::pipeline().with(hf::timeout{5ms});
    const auto late = []() -> asio::awaitable<int> {
      co_await hf::sleep_for(9ms, deaf());
      throw custom_error(9);
    };
    auto r = co_await p(late);
    REQUIRE(r.has_error());
    CHECK_THROWS_AS(r.value(), custom_error);

    const auto translates = [](hf::call_context& ctx) -> asio::awaitable<int> {
      try {
        co_await hf::sleep_for(9ms, ctx.token());
      } catch (const boost::system::system_error&) {
        throw custom_error(10);
      }
      co_return 1;
    };
    auto r2 = co_await p(translates);
    REQUIRE(r2.has_error());
    CHECK_THROWS_AS(r2.value(), custom_error);
  });
}

TEST_CASE("engine: who ended it, of nested timeouts and the caller") {
  const auto check = [](auto call) {
    in_virtual_time([call](virtual_time& time) -> asio::awaitable<void> {
      const auto attempt_and_total =
          hf::pipeline()
              .with(hf::timeout{5ms})
              .with(hf::retry{.max_attempts = 10, .wait = one_ms})
              .with(hf::timeout{8ms});
      const auto attempt_only = hf::pipeline().with(hf::timeout{5ms});
      const auto total_only =
          hf::pipeline().with(hf::retry{.max_attempts = 2}).with(hf::timeout{8ms});

      auto r = co_await attempt_only(call);
      REQUIRE(r.has_error());
      CHECK(r.error().code() == hf::errc::attempt_timeout);
      CHECK(r.error().code() == hf::condition::timed_out);
      CHECK(r.error().policy() == hf::policy_kind::timeout);

      auto total = co_await total_only(call);
      REQUIRE(total.has_error());
      CHECK(total.error().code() == hf::errc::total_timeout);

      // The second attempt is cut short by the total timeout.
      auto both = co_await attempt_and_total(call);
      REQUIRE(both.has_error());
      CHECK(both.error().code() == hf::errc::total_timeout);
      CHECK(both.error().attempts() == 2);

      hf::call_options options;
      options.deadline = time.now() + 3ms;
      auto deadline = co_await attempt_only(call, options);
      REQUIRE(deadline.has_error());
      CHECK(deadline.error().code() == hf::errc::total_timeout);

      options.deadline = time.now();
      auto too_late = co_await attempt_only(call, options);
      REQUIRE(too_late.has_error());
      CHECK(too_late.error().code() == hf::errc::deadline_too_near);

      // A pipeline within a call: the outer deadline ends both, and the outer's code is told.
      const auto outer = hf::pipeline().with(hf::timeout{3ms});
      hf::result<int> seen_inside = 0;
      const auto nested = [&](hf::call_context& ctx) -> asio::awaitable<hf::result<int>> {
        hf::result<int> inner = co_await attempt_only(call, ctx);
        seen_inside = inner;
        co_return inner;
      };
      auto by_outer = co_await outer(nested);
      REQUIRE(by_outer.has_error());
      CHECK(by_outer.error().code() == hf::errc::attempt_timeout);
      CHECK(seen_inside.has_error());
    });
  };
  SECTION("opaque") {
    check([]() -> asio::awaitable<int> {
      co_await hf::sleep_for(1min);
      co_return 1;
    });
  }
  SECTION("context") {
    check([](hf::call_context& ctx) -> asio::awaitable<int> {
      co_await hf::sleep_for(1min, ctx.token());
      co_return 1;
    });
  }
  SECTION("reader") {
    check([](const hf::call_context& ctx) -> asio::awaitable<int> {
      co_await hf::sleep_for(1min);
      co_return static_cast<int>(ctx.attempt());
    });
  }
}

TEST_CASE("engine: an outer detaching timeout holds although an inner one has expired") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    const auto deaf_call = []() -> asio::awaitable<int> {
      co_await hf::sleep_for(1min, deaf());
      co_return 1;
    };
    const auto p = hf::pipeline()
                       .with(hf::timeout{1s})
                       .with(hf::retry{.max_attempts = 2, .wait = one_ms})
                       .with(hf::timeout{.after = 5s, .mode = hf::timeout_mode::detach});
    const auto begun = time.now();
    auto r = co_await p(deaf_call);
    CHECK(time.now() - begun == 5s);
    REQUIRE(r.has_error());
    CHECK(r.error().code() == hf::errc::total_timeout);
  });
}

TEST_CASE("engine: a detached call runs on with its callable alive") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    const auto p = hf::pipeline().with(
        hf::timeout{.after = 2ms, .mode = hf::timeout_mode::detach, .max_detached = 2});
    auto log = std::make_shared<std::vector<int>>();
    auto watch = std::weak_ptr<int>();
    const auto begun = time.now();
    {
      auto captured = std::make_shared<int>(5);
      watch = captured;
      auto call = [captured, log]() -> asio::awaitable<int> {
        co_await hf::sleep_for(10ms, deaf());
        log->push_back(*captured);
        co_return *captured;
      };
      captured.reset();
      auto r = co_await p(std::move(call));
      REQUIRE(r.has_error());
      CHECK(r.error().code() == hf::errc::attempt_timeout);
    }
    CHECK(time.now() - begun == 2ms);
    CHECK(!watch.expired());
    CHECK(log->empty());

    // A second one is let go as well; a third is one too many, until one of them has ended.
    const auto hangs = []() -> asio::awaitable<int> {
      co_await hf::sleep_for(20ms, deaf());
      co_return 1;
    };
    auto second = co_await p(hangs);
    CHECK(second.error().code() == hf::errc::attempt_timeout);
    auto third = co_await p(hangs);
    REQUIRE(third.has_error());
    CHECK(third.error().code() == hf::errc::too_many_detached);
    CHECK(third.error().code() == hf::condition::rejected);

    co_await hf::sleep_for(7ms);
    CHECK(*log == std::vector{5});
    CHECK(watch.expired());
    const auto quick = []() -> asio::awaitable<int> { co_return 1; };
    auto fourth = co_await p(quick);
    CHECK(fourth.has_value());
  });
}

TEST_CASE("engine: the classifier judges values as well") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    struct response {
      int status;
    };
    int made = 0;
    const auto call = [&made]() -> asio::awaitable<response> {
      co_return response{++made < 3 ? 503 : 200};
    };
    const auto by_status = [](const response& r) {
      return r.status == 503 ? hf::verdict::overloaded : hf::verdict::success;
    };
    const auto p =
        hf::pipeline().with(hf::retry{.max_attempts = 3, .wait = one_ms}).classify(by_status);
    auto r = co_await p(call);
    REQUIRE(r.has_value());
    CHECK(r.value().status == 200);
    CHECK(made == 3);

    // Out of attempts: the last value is returned, not an error in its place.
    made = -10;
    auto last = co_await p(call);
    REQUIRE(last.has_value());
    CHECK(last.value().status == 503);

    made = -10;
    const auto q = hf::pipeline().fallback(response{299}).classify(by_status);
    auto replaced = co_await q(call);
    REQUIRE(replaced.has_value());
    CHECK(replaced.value().status == 299);

    // The classifier's hint is waited for.
    made = 1;
    const auto hinted = hf::pipeline()
                            .with(hf::retry{.max_attempts = 3,
                                            .wait = one_ms})
                            .classify([](const response& v) -> hf::classification {
                              if (v.status == 503) return {hf::verdict::throttled, 40ms};
                              return hf::verdict::success;
                            });
    const auto begun = time.now();
    auto after = co_await hinted(call);
    CHECK(after.value().status == 200);
    CHECK(time.now() - begun == 40ms);

    // One that throws has no say.
    made = -10;
    const auto throwing =
        hf::pipeline()
            .with(hf::retry{.max_attempts = 3})
            .classify([](const response&) -> hf::verdict { throw custom_error(1); });
    auto kept = co_await throwing(call);
    CHECK(kept.has_value());
    CHECK(made == -9);
  });
}

TEST_CASE("engine: retry honours the service's hint, and the deadline") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    int made = 0;
    const auto throttled = [&made]() -> asio::awaitable<hf::result<int>> {
      ++made;
      hf::failure f(reset_by_peer);
      f.with_retry_after(100ms);
      co_return f;
    };
    const auto p = hf::pipeline().with(hf::retry{.max_attempts = 3, .wait = one_ms});
    auto begun = time.now();
    auto r = co_await p(throttled);
    REQUIRE(r.has_error());
    CHECK(made == 3);
    CHECK(r.error().attempts() == 3);
    CHECK(time.now() - begun == 200ms);

    // The next attempt would begin after the deadline: the last real failure, at once.
    made = 0;
    begun = time.now();
    auto cut = co_await p(throttled, {.deadline = time.now() + 150ms});
    REQUIRE(cut.has_error());
    CHECK(cut.error().code() == reset_by_peer);
    CHECK(made == 2);
    CHECK(time.now() - begun == 100ms);

    const auto bounded = hf::pipeline().with(
        hf::retry{.max_attempts = 9, .max_elapsed = 150ms, .wait = one_ms});
    made = 0;
    begun = time.now();
    auto elapsed = co_await bounded(throttled);
    CHECK(elapsed.error().code() == reset_by_peer);
    CHECK(made == 2);
    CHECK(time.now() - begun == 100ms);
  });
}

TEST_CASE("engine: a call that is not idempotent is repeated only if it was never sent") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    int made = 0;
    error_code code = reset_by_peer;
    const auto call = [&]() -> asio::awaitable<hf::result<int>> {
      ++made;
      co_return hf::failure(code);
    };
    const auto p = hf::pipeline().with(hf::retry{.max_attempts = 3, .wait = one_ms});
    auto r = co_await p(call, {.idempotent = false});
    CHECK(r.has_error());
    CHECK(made == 1);
    made = 0;
    code = asio::error::connection_refused;
    auto r2 = co_await p(call, {.idempotent = false});
    CHECK(r2.has_error());
    CHECK(made == 3);
  });
}

TEST_CASE("engine: the ledger tells what happened") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    hf::circuit_breaker isolated{{.name = "second"}};
    isolated.isolate();
    const auto fails = []() -> asio::awaitable<int> {
      co_await hf::sleep_for(1ms);
      throw boost::system::system_error(reset_by_peer);
    };
    auto second = hf::resilient(fails).with(isolated);
    const auto p = hf::pipeline()
                       .with(hf::retry{.max_attempts = 2, .wait = one_ms})
                       .fallback(second, {.name = "second"})
                       .fallback(5, {.name = "cache", .quality = hf::quality::cached});
    hf::ledger ledger;
    auto r = co_await p(fails, {.ledger = &ledger});
    REQUIRE(r.has_value());
    CHECK(r.value() == 5);
    CHECK(ledger.answered());
    CHECK(ledger.answered_by() == "cache");
    CHECK(ledger.quality() == hf::quality::cached);
    REQUIRE(ledger.entries().size() == 4);
    const auto& e = ledger.entries();
    CHECK(e[0].link.empty());
    CHECK(e[0].attempt == 1);
    CHECK(e[0].code == reset_by_peer);
    CHECK(e[0].took == 1ms);
    CHECK(e[1].attempt == 2);
    CHECK(e[2].link == "second");
    CHECK(e[2].attempt == 0);
    CHECK(e[2].refused_by == hf::policy_kind::circuit_breaker);
    CHECK(e[2].policy_name.view() == "second");
    CHECK(e[3].link == "cache");
    CHECK(e[3].outcome == hf::verdict::success);
    CHECK(ledger.attempts() == 3);

    const auto ok = []() -> asio::awaitable<int> { co_return 1; };
    auto r2 = co_await p(ok, {.ledger = &ledger});
    CHECK(r2.value() == 1);
    CHECK(ledger.entries().size() == 1);
    CHECK(ledger.answered_by().empty());
    CHECK(ledger.quality() == hf::quality::primary);
  });
}

TEST_CASE("engine: describe prints the stack, outermost first") {
  const auto call = []() -> asio::awaitable<int> { co_return 1; };
  const auto chain = hf::resilient(call)
                         .with(hf::timeout{2s})
                         .with(hf::retry{.max_attempts = 4})
                         .fallback(5, {.name = "five"});
  const std::string text = chain.describe();
  const auto fallback = text.find("fallback 'five'");
  const auto retry = text.find("retry: at most 4 attempts");
  const auto timeout = text.find("timeout: 2s");
  const auto itself = text.find("call");
  REQUIRE(fallback != std::string::npos);
  REQUIRE(retry != std::string::npos);
  REQUIRE(timeout != std::string::npos);
  CHECK(fallback < retry);
  CHECK(retry < timeout);
  CHECK(timeout < itself);
}

TEST_CASE("engine: the same seed gives the same run") {
  const auto trace = [](std::uint64_t seed) {
    std::vector<hf::time_point> times;
    in_virtual_time(
        [&times](virtual_time& time) -> asio::awaitable<void> {
          const auto call = [&]() -> asio::awaitable<int> {
            times.push_back(time.now());
            throw boost::system::system_error(reset_by_peer);
            co_return 1;
          };
          const auto p = hf::pipeline().with(hf::retry{.max_attempts = 6});
          auto r = co_await p(call);
          CHECK(r.has_error());
        },
        seed);
    return times;
  };
  CHECK(trace(3) == trace(3));
  CHECK(trace(3) != trace(4));
  CHECK(trace(3).size() == 6);
}
