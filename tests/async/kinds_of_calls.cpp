// SPDX-License-Identifier: BSL-1.0
// What a call may look like, what its end means, and what is refused beside it.
#include "../support/expires_after.hpp"
#include "../support/in_virtual_time.hpp"
#include <holdfast/resilient.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch_all.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>

namespace asio = boost::asio;
namespace hf = holdfast;
using hf::testing::virtual_time;
using support::expires_after;
using namespace std::chrono_literals;

namespace {

constexpr hf::backoff no_wait{.base = 0s, .jitter = hf::jitter::none};

struct client {
  asio::awaitable<int> ask(hf::call_context& context) {
    co_await hf::sleep_for(1h, context.token());
    co_return 1;
  }
  asio::awaitable<int> look(const hf::call_context& context) {
    co_return static_cast<int>(context.attempt());
  }
};

template <class F>
constexpr bool reads = hf::detail::reader_call<F>;
template <class F>
constexpr bool takes = hf::detail::context_call<F>;

static_assert(takes<asio::awaitable<int> (*)(hf::call_context&)>);
static_assert(reads<asio::awaitable<int> (*)(const hf::call_context&) noexcept>);
static_assert(takes<std::function<asio::awaitable<int>(hf::call_context&)>>);
static_assert(reads<std::function<asio::awaitable<int>(const hf::call_context&)>>);
static_assert(takes<decltype(std::bind_front(&client::ask, std::declval<client*>()))>);
static_assert(reads<decltype(std::bind_front(&client::look, std::declval<client*>()))>);

}  // namespace

TEST_CASE("calls: a generic call gets the context with its token") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    const auto guard = hf::pipeline().with(hf::timeout{2s});
    const auto by_reference = [](auto& context) -> asio::awaitable<int> {
      co_await hf::sleep_for(1h, context.token());
      co_return 1;
    };
    const auto forwarded = [](auto&& context) -> asio::awaitable<int> {
      co_await hf::sleep_for(1h, context.token());
      co_return 1;
    };
    client c;
    const auto passed_on = [&c](auto& context) { return c.ask(context); };
    co_await expires_after(2s, time, guard, by_reference);
    co_await expires_after(2s, time, guard, forwarded);
    co_await expires_after(2s, time, guard, passed_on);
  });
}

TEST_CASE("calls: a generic call that only reads its context is cancelled like a plain one") {
  in_virtual_time([](virtual_time& time) -> asio::awaitable<void> {
    const auto guard = hf::pipeline().with(hf::timeout{2s});
    const auto call = [](const auto& context) -> asio::awaitable<int> {
      co_await hf::sleep_for(1h);
      co_return static_cast<int>(context.attempt());
    };
    STATIC_REQUIRE(reads<std::remove_const_t<decltype(call)>>);
    co_await expires_after(2s, time, guard, call);
  });
}

TEMPLATE_TEST_CASE("calls: an error that a call gives as its value is a failure", "",
                   boost::system::error_code, std::error_code, std::exception_ptr) {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    const auto guard = hf::pipeline().with(hf::retry{.max_attempts = 3, .wait = no_wait});
    int asked = 0;
    const auto call = [&asked]() -> asio::awaitable<TestType> {
      if (++asked == 3) co_return TestType();
      if constexpr (std::same_as<TestType, std::exception_ptr>) {
        co_return std::make_exception_ptr(std::runtime_error("broken"));
      } else {
        co_return std::make_error_code(std::errc::broken_pipe);
      }
    };
    const hf::result<void> r = co_await guard(call);
    CHECK(r.has_value());
    CHECK(asked == 3);
    asked = -10;
    const hf::result<void> failed = co_await guard(call);
    REQUIRE(failed.has_error());
    CHECK(failed.error().attempts() == 3);
  });
}

TEST_CASE("calls: an operation that was aborted and that nobody cancelled is a failure") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    hf::circuit_breaker breaker{{.consecutive_failures = 2}};
    const auto guard =
        hf::pipeline().with(breaker).with(hf::retry{.max_attempts = 2, .wait = no_wait});
    const auto call = []() -> asio::awaitable<int> {
      throw boost::system::system_error(asio::error::operation_aborted);
      co_return 0;
    };
    const auto r = co_await guard(call);
    REQUIRE(r.has_error());
    CHECK(r.error().attempts() == 2);
    CHECK(breaker.state() == hf::breaker_state::open);
  });
}

TEST_CASE("calls: one that its caller has cancelled is none") {
  in_virtual_time([](virtual_time&) -> asio::awaitable<void> {
    hf::circuit_breaker breaker{{.consecutive_failures = 1}};
    const auto guard = hf::pipeline().with(breaker);
    const auto call = [](hf::call_context& context) -> asio::awaitable<int> {
      co_await hf::sleep_for(1h, context.token());
      co_return 1;
    };
    // Without its parent's context the operation hears the timeout as a cancellation by its caller.
    const auto outer = [&]() -> asio::awaitable<hf::result<int>> {
      auto r = co_await guard(call);
      CHECK(r.error().code() == hf::errc::cancelled);
      co_return r;
    };
    const auto r = co_await hf::pipeline().with(hf::timeout{2s})(outer);
    CHECK(r.error().code() == hf::condition::timed_out);
    CHECK(breaker.state() == hf::breaker_state::closed);
  });
}

TEST_CASE("calls: a coroutine with an executor type of its own awaits chains and tokens") {
  asio::io_context ctx{1};
  const auto call = []() -> asio::awaitable<int> { co_return 1; };
  const auto guard = hf::pipeline().with(hf::timeout{2s});
  int answers = 0;
  const auto caller = [&]() -> asio::awaitable<void, asio::io_context::executor_type> {
    const auto of_chain = co_await hf::resilient(call).with(hf::timeout{2s});
    const auto of_pipeline = co_await guard(call, {}, asio::deferred);
    answers = of_chain.value() + of_pipeline.value();
  };
  asio::co_spawn(ctx.get_executor(), caller(), [](std::exception_ptr e) { CHECK(!e); });
  ctx.run();
  CHECK(answers == 2);
}

TEST_CASE("calls: a null policy is refused with a sentence") {
  const std::shared_ptr<hf::circuit_breaker> none;
  CHECK_THROWS_WITH(hf::pipeline().with(none),
                    "pipeline: with: the std::shared_ptr to a policy is null");
  const auto call = []() -> asio::awaitable<int> { co_return 1; };
  CHECK_THROWS_AS(hf::resilient(call).with(none), hf::invalid_options);
}

TEST_CASE("calls: a circuit breaker that nothing else will see is refused") {
  const auto call = []() -> asio::awaitable<int> { co_return 1; };
  CHECK_THROWS_AS(hf::resilient(call).with(hf::circuit_breaker{}), hf::invalid_options);
  CHECK_THROWS_AS(hf::resilient(call).with(hf::breaker_family{}), hf::invalid_options);
  CHECK_THROWS_AS(hf::resilient(call).with(std::make_shared<hf::circuit_breaker>()),
                  hf::invalid_options);
  const hf::circuit_breaker kept;
  const auto handle = [&kept] { return kept; };
  CHECK_NOTHROW(hf::resilient(call).with(handle()));
  CHECK_NOTHROW(hf::resilient(call).with(std::make_shared<hf::circuit_breaker>(kept)));
  CHECK_NOTHROW(hf::resilient(call).with(kept));
  CHECK_NOTHROW(hf::pipeline().with(hf::circuit_breaker{}));
}

TEST_CASE("calls: value_or stands in for a failure") {
  const hf::result<std::string> good("answer");
  const hf::result<std::string> bad{hf::failure(hf::errc::shed)};
  CHECK(hf::value_or(good, "sorry") == "answer");
  CHECK(hf::value_or(bad, "sorry") == "sorry");
  CHECK(hf::value_or(hf::result<std::unique_ptr<int>>(std::make_unique<int>(4)), nullptr) !=
        nullptr);
}
