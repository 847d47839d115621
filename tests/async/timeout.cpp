// SPDX-License-Identifier: BSL-1.0
// What a timeout says and counts, in virtual time.
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>
#include <holdfast/standard.hpp>
#include <memory>
#include <string>

#include "../support/in_virtual_time.hpp"

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;
using virtual_time = hf::testing::virtual_time;
using cancellation = asio::cancellation_type;

asio::awaitable<int> hangs(hf::call_context& ctx) {
  co_await hf::sleep_for(1h, ctx.token());
  co_return 1;
}

auto deaf() { return asio::bind_cancellation_slot(asio::cancellation_slot(), asio::deferred); }

/// Takes the context and forgets the token.
asio::awaitable<int> forgets(hf::call_context&) {
  co_await hf::sleep_for(1s, deaf());
  co_return 1;
}

}  // namespace

TEST_CASE("timeout: its failure names it and says how long it waited", "[timeout]") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    const auto named = hf::pipeline().with(hf::timeout{.after = 2s, .name = "gpt-4"});
    auto r = co_await named(hangs);
    CHECK(r.error().message() == "timeout 'gpt-4': no answer within 2 s");
    CHECK(r.error().policy_name() == "gpt-4");
    CHECK(r.error().time_allowed() == 2s);
    CHECK(r.error().overrun() == 0s);

    const auto unnamed = hf::pipeline().with(hf::timeout{1500ms});
    r = co_await unnamed(hangs);
    CHECK(r.error().message() == "timeout: no answer within 1.50 s");
  });
}

TEST_CASE("timeout: of several the failure names the one that expired", "[timeout]") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    const auto p = hf::pipeline()
                       .with(hf::timeout{.after = 2s, .name = "attempt"})
                       .with(hf::retry{.max_attempts = 10, .wait = {.base = 0s}})
                       .with(hf::timeout{.after = 5s, .name = "all"})
                       .with(hf::timeout{.after = 6s, .name = "outermost"});
    auto r = co_await p(hangs);
    CHECK(r.error().message() == "timeout 'all': no answer within 5 s (after 3 attempts)");
    r = co_await p(hangs, {.deadline = time.now() + 1s});
    CHECK(r.error().message() == "timeout: no answer before the caller's deadline");
    CHECK(!r.error().time_allowed());
    const auto all = p.timeouts();
    REQUIRE(all.size() == 3);
    CHECK(all[0].name == "outermost");
    CHECK(all[0].expired == 0);
    CHECK(all[1].name == "all");
    CHECK(all[1].expired == 1);
    CHECK(all[2].name == "attempt");
    CHECK(all[2].expired == 2);
    CHECK(all[2].overran == 0);
  });
}

TEST_CASE("timeout: an exception made of its failure says it once", "[timeout]") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    const auto p = hf::pipeline().with(hf::timeout{.after = 2s, .name = "gpt-4"});
    const auto r = co_await p(hangs);
    std::string text;
    try {
      static_cast<void>(r.value());
    } catch (const boost::system::system_error& e) {
      text = e.what();
      CHECK(e.code() == hf::errc::attempt_timeout);
    }
    CHECK(text == "timeout 'gpt-4': no answer within 2 s");
  });
}

TEST_CASE("timeout: temporaries of one place bound together what they leave behind", "[timeout]") {
  const hf::timeout detaching{
      .after = 10ms, .mode = hf::timeout_mode::detach, .max_detached = 2};
  in_virtual_time([&](virtual_time&) -> asio::awaitable<void> {
    int started = 0;
    const auto deaf_call = [&started]() -> asio::awaitable<int> {
      ++started;
      co_await hf::sleep_for(1s, deaf());
      co_return 1;
    };
    const auto ask = [&](int how) -> asio::awaitable<hf::result<int>> {
      if (how == 0) co_return co_await hf::resilient(deaf_call).with(detaching).run();
      if (how == 1) co_return co_await hf::pipeline().with(detaching)(deaf_call);
      auto link = hf::resilient(deaf_call).with(detaching);
      auto fails = []() -> asio::awaitable<int> { throw std::runtime_error("down"); co_return 0; };
      co_return co_await hf::resilient(fails).fallback(std::move(link)).run();
    };
    for (int how = 0; how < 3; ++how) {
      INFO("way " << how);
      started = 0;
      for (int i = 0; i < 100; ++i) {
        const auto r = co_await ask(how);
        CHECK(r.has_error());
        if (how < 2 && i >= 2) CHECK(r.error().code() == hf::errc::too_many_detached);
      }
      CHECK(started == 2);
      co_await hf::sleep_for(2s);
      auto again = co_await ask(how);
      CHECK(started == 3);
      co_await hf::sleep_for(2s);
    }

    // A pipeline that stays, and what is made from it, are bounded by its own count.
    started = 0;
    const auto kept = hf::pipeline().with(detaching);
    for (int i = 0; i < 10; ++i) {
      auto r = co_await hf::pipeline(kept).with(hf::timeout{1min})(deaf_call);
      CHECK(r.has_error());
    }
    CHECK(started == 2);
    CHECK(kept.timeouts()[0].detached == 2);
    co_await hf::sleep_for(2s);
  });
}

TEST_CASE("timeout: a detaching one names itself too", "[timeout]") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    const auto p = hf::pipeline().with(hf::timeout{.after = 100ms,
                                                   .mode = hf::timeout_mode::detach,
                                                   .grace = 50ms,
                                                   .max_detached = 1,
                                                   .name = "dns"});
    auto r = co_await p(forgets);
    CHECK(r.error().message() == "timeout 'dns': no answer within 100 ms");
    r = co_await p(forgets);
    CHECK(r.error().code() == hf::errc::too_many_detached);
    CHECK(r.error().policy_name() == "dns");
    const auto seen = p.timeouts();
    CHECK(seen[0].expired == 1);
    CHECK(seen[0].overran == 0);  // its grace is no overrun
    CHECK(seen[0].detached == 1);
    co_await hf::sleep_for(1s);
    CHECK(p.timeouts()[0].detached == 0);
  });
}

TEST_CASE("timeout: counts the calls that did not hear it, and by how much", "[timeout]") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    const auto p = hf::pipeline().with(hf::timeout{.after = 100ms, .name = "api"});
    auto r = co_await p(forgets);
    CHECK(r.has_value());  // late, but here
    auto seen = p.timeouts();
    REQUIRE(seen.size() == 1);
    CHECK(seen[0].name == "api");
    CHECK(seen[0].after == 100ms);
    CHECK(seen[0].expired == 1);
    CHECK(seen[0].overran == 1);
    CHECK(seen[0].longest_overrun == 900ms);

    const auto unwinds_late = [](hf::call_context& ctx) -> asio::awaitable<int> {
      co_await hf::sleep_for(400ms, deaf());
      static_cast<void>(ctx);
      throw boost::system::system_error(asio::error::operation_aborted);
    };
    r = co_await p(unwinds_late);
    CHECK(r.has_error());
    const auto quick = [](hf::call_context& ctx) -> asio::awaitable<int> {
      co_await hf::sleep_for(99ms, ctx.token());
      co_return 1;
    };
    r = co_await p(quick);
    CHECK(r.has_value());
    r = co_await p(hangs);
    CHECK(r.has_error());
    seen = p.timeouts();
    CHECK(seen[0].expired == 3);
    CHECK(seen[0].overran == 2);
    CHECK(seen[0].longest_overrun == 900ms);
    CHECK(seen[0].total_overrun == 1200ms);
    CHECK(hf::pipeline(p).timeouts()[0].expired == 0);  // a copy counts for itself
  });
}

TEST_CASE("timeout: a failure says that its call went on", "[timeout]") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    const auto p = hf::pipeline().with(hf::timeout{.after = 100ms, .name = "api"});
    // Hears the cancellation, and takes its time to clean up.
    const auto cleans_up = [](hf::call_context& ctx) -> asio::awaitable<int> {
      std::exception_ptr why;
      try {
        co_await hf::sleep_for(1h, ctx.token());
      } catch (...) {
        why = std::current_exception();
      }
      co_await hf::sleep_for(900ms, deaf());
      std::rethrow_exception(why);
    };
    const auto r = co_await p(cleans_up);
    CHECK(r.error().message() ==
          "timeout 'api': no answer within 100 ms; the call went on for another 900 ms");
    CHECK(r.error().overrun() == 900ms);
    CHECK(r.error().time_allowed() == 100ms);
    const hf::failure copy = r.error();
    CHECK(copy.message() == r.error().message());
    CHECK(p.timeouts()[0].overran == 1);
  });
}

TEST_CASE("timeout: emits the type that it is told, terminal by default", "[timeout]") {
  for (const auto type : {cancellation::terminal, cancellation::partial, cancellation::total}) {
    for (const bool own_chain : {false, true}) {
      in_virtual_time([&](virtual_time& time) -> asio::awaitable<void> {
        auto heard = cancellation::none;
        const auto listens = [&heard](auto token) {
          return asio::async_initiate<decltype(token), void(boost::system::error_code)>(
              [&heard](auto handler) {
                auto work = asio::make_work_guard(handler);  // as Asio asks of every operation
                auto shared = std::make_shared<decltype(handler)>(std::move(handler));
                asio::get_associated_cancellation_slot(*shared).assign(
                    [&heard, shared, work](cancellation t) {
                      heard = t;
                      asio::post(asio::get_associated_executor(*shared), [shared] {
                        std::move(*shared)(asio::error::operation_aborted);
                      });
                    });
              },
              token);
        };
        const auto in_callers_chain = [&](hf::call_context& ctx) -> asio::awaitable<int> {
          co_await listens(ctx.token());
          co_return 1;
        };
        const auto opaque = [&]() -> asio::awaitable<int> {
          co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
          co_await listens(asio::deferred);
          co_return 1;
        };
        const auto begun = time.now();
        const auto p =
            type == cancellation::terminal
                ? hf::pipeline().with(hf::timeout{10ms})
                : hf::pipeline().with(hf::timeout{.after = 10ms, .cancellation = type});
        auto pending = own_chain ? p(opaque) : p(in_callers_chain);
        const auto r = co_await std::move(pending);
        CHECK(r.error().code() == hf::errc::attempt_timeout);
        CHECK(heard == type);
        CHECK(time.now() - begun == 10ms);
      });
    }
  }
}

TEST_CASE("timeout: those below a hedge are counted too", "[timeout]") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    const auto p = hf::pipeline()
                       .with(hf::timeout{.after = 100ms, .name = "inner"})
                       .with(hf::hedge({.delay = 50ms}))
                       .with(hf::timeout{.after = 1min, .name = "outer"});
    const auto r = co_await p(hangs);
    CHECK(r.error().message() == "timeout 'inner': no answer within 100 ms (after 2 attempts)");
    const auto seen = p.timeouts();
    REQUIRE(seen.size() == 2);
    CHECK(seen[0].name == "outer");
    CHECK(seen[0].expired == 0);
    CHECK(seen[1].name == "inner");
    CHECK(seen[1].expired == 2);
  });
}

TEST_CASE("timeout and retry: named in describe and in errors", "[timeout]") {
  const auto p = hf::pipeline()
                     .with(hf::timeout{.after = 2s,
                                       .cancellation = cancellation::partial | cancellation::total,
                                       .name = "gpt-4"})
                     .with(hf::retry{.name = "gpt-4"});
  CHECK_THAT(p.describe(), Catch::Matchers::StartsWith("retry 'gpt-4': at most 3 attempts"));
  CHECK_THAT(p.describe(), Catch::Matchers::ContainsSubstring(
                               "timeout 'gpt-4': 2s for each attempt, emits partial total\n"));
  CHECK_THROWS_WITH(hf::pipeline().with(hf::timeout{.after = 0s, .name = "gpt-4"}),
                    Catch::Matchers::ContainsSubstring("timeout 'gpt-4'"));
  CHECK_THROWS_WITH(hf::pipeline().with(hf::retry{.max_attempts = 0, .name = "gpt-4"}),
                    Catch::Matchers::ContainsSubstring("retry 'gpt-4'"));
  CHECK_THROWS_WITH(hf::pipeline().with(hf::timeout{.cancellation = cancellation::none}),
                    Catch::Matchers::ContainsSubstring("cancellation"));
  CHECK_THAT(hf::standard({.name = "gpt-4"}).describe(),
             Catch::Matchers::ContainsSubstring("timeout 'gpt-4': 8s for all attempts"));
}
