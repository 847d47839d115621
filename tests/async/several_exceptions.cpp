// SPDX-License-Identifier: BSL-1.0
// Calls that do several things at once and fail with all of them: `asio::multiple_exceptions`.
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/multiple_exceptions.hpp>
#include <catch2/catch_all.hpp>
#include <new>
#include <optional>
#include <stdexcept>

#include "../support/stage.hpp"

using namespace std::chrono_literals;
using namespace boost::asio::experimental::awaitable_operators;
using test::stage;
namespace asio = boost::asio;
namespace hf = holdfast;
using hf::errc;

namespace {

asio::awaitable<void> lasts(hf::duration d) { co_await hf::sleep_for(d); }

asio::awaitable<void> breaks(hf::duration d) {
  co_await hf::sleep_for(d);
  throw boost::system::system_error(asio::error::connection_reset);
}

std::exception_ptr several(std::exception_ptr first) {
  return std::make_exception_ptr(asio::multiple_exceptions(std::move(first)));
}

}  // namespace

TEST_CASE("a call of which the timeout cancels several operations has timed out", "[exceptions]") {
  const int shape = GENERATE(0, 1, 2, 3);
  CAPTURE(shape);
  stage s;
  const hf::circuit_breaker breaker;
  const auto guard = hf::pipeline().with(hf::timeout{100ms}).with(breaker);
  auto call = [shape]() -> asio::awaitable<void> {
    switch (shape) {
      case 0: co_await (lasts(1s) && lasts(2s)); break;
      case 1: static_cast<void>(co_await (lasts(1s) || lasts(2s))); break;
      case 2: co_await (lasts(1s) && lasts(2s) && lasts(3s)); break;
      default: co_await (lasts(1s) && (lasts(2s) && lasts(3s))); break;
    }
  };
  s.play([&]() -> asio::awaitable<void> {
    const auto r = co_await guard(call);
    REQUIRE(r.has_error());
    CHECK(r.error().code() == errc::attempt_timeout);
    CHECK(r.error().policy() == hf::policy_kind::timeout);
  });
  CHECK(s.elapsed() == 100ms);
  CHECK(breaker.snapshot(s.time.now()).consecutive_failures == 1);
}

TEST_CASE("several operations that the caller cancels are a cancellation", "[exceptions]") {
  stage s;
  asio::cancellation_signal signal;
  std::optional<hf::result<void>> r;
  auto call = []() -> asio::awaitable<void> { co_await (lasts(1s) && lasts(2s)); };
  const auto guard = hf::pipeline().with(hf::timeout{10s}).with(hf::retry{});
  asio::co_spawn(
      s.context, [&]() -> asio::awaitable<void> {
        co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
        r.emplace(co_await guard(call));
      },
      asio::bind_cancellation_slot(signal.slot(), [](std::exception_ptr) {}));
  s.time.run_for(100ms);
  signal.emit(asio::cancellation_type::total);
  s.run();
  REQUIRE(r);
  CHECK(r->error().code() == errc::cancelled);
}

TEST_CASE("the service's fault shows, whichever operation it comes from", "[exceptions]") {
  const bool first = GENERATE(false, true);
  CAPTURE(first);
  stage s;
  const hf::circuit_breaker breaker;
  const auto guard = hf::pipeline().with(hf::timeout{10s}).with(breaker);
  auto call = [first]() -> asio::awaitable<void> {
    if (first) {
      co_await (breaks(1ms) && lasts(2s));
    } else {
      // Asio keeps the exception of the first operand: that it was cancelled.
      co_await (lasts(2s) && breaks(1ms));
    }
  };
  s.play([&]() -> asio::awaitable<void> {
    const auto r = co_await guard(call);
    REQUIRE(r.has_error());
    if (first) CHECK(r.error().code() == asio::error::connection_reset);
  });
  CHECK(s.elapsed() == 1ms);
  CHECK(breaker.snapshot(s.time.now()).consecutive_failures == 1);
}

TEST_CASE("a failure of several exceptions has the code and the text of the first",
          "[exceptions]") {
  const boost::system::system_error reset(asio::error::connection_reset);
  const auto all = several(std::make_exception_ptr(reset));
  const hf::failure f(all);
  CHECK(f.code() == asio::error::connection_reset);
  CHECK(f.exception() == all);  // unchanged
  CHECK(f.message().find("multiple") == std::string::npos);
  CHECK(hf::default_classifier()(f) == hf::verdict::failure);

  CHECK(hf::failure(several(several(std::make_exception_ptr(reset)))).code() ==
        asio::error::connection_reset);
  CHECK(hf::failure(several(std::make_exception_ptr(std::runtime_error("x")))).code() ==
        errc::exception);
  CHECK(hf::failure(several(nullptr)).code() == errc::exception);
  CHECK(hf::failure(several(std::make_exception_ptr(std::bad_alloc()))).code() ==
        boost::system::errc::not_enough_memory);
  CHECK(hf::default_classifier()(hf::failure(several(std::make_exception_ptr(
            std::invalid_argument("x"))))) ==
        hf::default_classifier()(
            hf::failure(std::make_exception_ptr(std::invalid_argument("x")))));
  const hf::count_only_exceptions<boost::system::system_error> counts;
  CHECK(counts(f) == hf::verdict::failure);
  const hf::count_only_exceptions<std::logic_error> other;
  CHECK(other(f) == hf::verdict::request_fault);
}
