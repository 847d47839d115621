// SPDX-License-Identifier: BSL-1.0
// Bugs that other libraries shipped, E: timeouts and cancellation.
#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/thread_pool.hpp>
#include <catch2/catch_all.hpp>
#include <random>

#include "../support/stage.hpp"

using namespace std::chrono_literals;
using namespace test;
using hf::errc;

namespace {

/// A call that lasts, of the kind that is cancelled in the caller's chain.
auto lasting(hf::duration d) {
  return [d](hf::call_context& ctx) -> asio::awaitable<int> {
    co_await hf::sleep_for(d, ctx.token());
    co_return 1;
  };
}

/// The same, of the kind that runs on a chain of its own under a timeout.
auto opaque(hf::duration d) {
  return [d]() -> asio::awaitable<int> {
    co_await hf::sleep_for(d);
    co_return 1;
  };
}

}  // namespace

TEST_CASE("bug 38: after the outer timeout no inner retry goes on", "[conformance]") {
  const bool in_call = GENERATE(true, false);  // or between two attempts
  const bool is_opaque = GENERATE(true, false);
  stage s;
  int asked = 0;
  int running = 0;
  const auto work = [&](hf::duration d, auto sleep) -> asio::awaitable<int> {
    ++asked;
    ++running;
    const std::shared_ptr<void> guard(nullptr, [&](void*) { --running; });
    co_await sleep(d);
    throw std::runtime_error("down");
  };
  const hf::duration each = in_call ? 400ms : 10ms;
  const hf::retry retry{.max_attempts = 100,
                        .wait = {.kind = hf::backoff_kind::constant,
                                 .base = in_call ? 10ms : 400ms,
                                 .jitter = hf::jitter::none}};
  const auto pipe = hf::pipeline().with(retry).with(hf::timeout{1s});
  s.play([&]() -> asio::awaitable<void> {
    const auto plain = [&]() {
      return work(each, [](hf::duration d) { return hf::sleep_for(d); });
    };
    const auto with_context = [&](hf::call_context& ctx) {
      return work(each, [&ctx](hf::duration d) { return hf::sleep_for(d, ctx.token()); });
    };
    const auto r = is_opaque ? co_await pipe(plain) : co_await pipe(with_context);
    REQUIRE(r.has_error());
    CHECK(s.elapsed() <= 1s);
    CHECK(running == 0);
    CHECK(asked == 3);
    if (in_call) CHECK(r.error().code() == errc::total_timeout);
    co_await hf::sleep_for(1min);
    CHECK(asked == 3);
  });
}

TEST_CASE("bug 39: a call that ends at the instant of its timeout ends exactly once",
          "[conformance]") {
  // A hundred thousand ties and near ties in virtual time, in every order of arming.
  stage s(17);
  std::mt19937_64 random(23);
  hf::bulkhead bulkhead({.limit = 200});
  hf::circuit_breaker breaker({.consecutive_failures = 1'000'000'000});
  const auto pipe = hf::pipeline()
                        .with(hf::timeout{100ms})
                        .with(bulkhead)
                        .with(breaker)
                        .with(hf::retry{.max_attempts = 2, .wait = {.base = 0ns}})
                        .with(hf::timeout{200ms});
  constexpr int sessions = 100;
  constexpr int each = 1000;
  int values = 0;
  int timeouts = 0;
  for (int i = 0; i < sessions; ++i) {
    s.start([&]() -> asio::awaitable<void> {
      for (int n = 0; n < each; ++n) {
        hf::duration d = 100ms;
        if (random() % 4 == 0) d += hf::duration(static_cast<std::int64_t>(random() % 3) - 1);
        const auto r = random() % 2 ? co_await pipe(lasting(d)) : co_await pipe(opaque(d));
        if (r.has_value()) {
          ++values;
        } else {
          REQUIRE(r.error().code() == hf::condition::timed_out);
          ++timeouts;
        }
      }
    });
  }
  s.run();
  CHECK(values + timeouts == sessions * each);
  CHECK(values > 0);
  CHECK(timeouts > 0);
  CHECK(bulkhead.in_use() == 0);
  CHECK(s.time.timers() == 0);
}

TEST_CASE("bug 39: the same on four threads in real time", "[conformance][threads]") {
  // Real threads and real time: many calls at once, as long as their timeouts.
  constexpr int sessions = 200;
  constexpr int each = 20;
  std::atomic<int> values{0};
  std::atomic<int> timeouts{0};
  std::atomic<int> others{0};
  hf::bulkhead bulkhead({.limit = sessions});
  const auto pipe = hf::pipeline().with(hf::timeout{2ms}).with(bulkhead);
  {
    asio::thread_pool pool(4);
    const auto scene = [&]() -> asio::awaitable<void> {
      for (int n = 0; n < each; ++n) {
        const auto r = n % 2 ? co_await pipe(lasting(2ms)) : co_await pipe(opaque(2ms));
        if (r.has_value()) {
          ++values;
        } else {
          ++(r.error().code() == errc::attempt_timeout ? timeouts : others);
        }
      }
    };
    for (int i = 0; i < sessions; ++i) asio::co_spawn(pool, scene, [](std::exception_ptr) {});
    pool.join();
  }
  CHECK(values + timeouts == sessions * each);
  CHECK(others == 0);
  CHECK(bulkhead.in_use() == 0);
}

TEST_CASE("bug 40: who ended the call is told by the code, for nested timeouts too",
          "[conformance]") {
  struct row {
    hf::duration call, inner, outer, deadline, parent, cancel;
    errc expected;
  };
  constexpr hf::duration no = 1h;
  const auto [call, inner, outer, deadline, parent, cancel, expected] = GENERATE_COPY(
      // clang-format off
      row{10s, 1s, 5s, no, no, no, errc::attempt_timeout},
      row{10s, 4s, 5s, no, no, no, errc::attempt_timeout},
      row{10s, 5s, 5s, 3s, no, no, errc::total_timeout},     // the caller's deadline
      row{10s, 5s, 6s, no, 2s, no, errc::total_timeout},     // the surrounding call's deadline
      row{10s, 5s, 6s, 3s, 2s, no, errc::total_timeout},
      row{10s, 5s, 6s, 4s, 4s, 1s, errc::cancelled},
      row{10s, 5s, 6s, no, no, 1s, errc::cancelled}
      // clang-format on
  );
  const bool is_opaque = GENERATE(true, false);
  CAPTURE(call, inner, outer, deadline, parent, cancel, is_opaque);
  stage s;
  const auto pipe = hf::pipeline()
                        .with(hf::timeout{inner})
                        .with(hf::retry{.max_attempts = 1})
                        .with(hf::timeout{outer});
  const auto around = hf::pipeline().with(hf::timeout{parent});
  asio::cancellation_signal stop;
  std::optional<hf::failure> seen;
  const hf::time_point limit = deadline == no ? hf::never : s.time.now() + deadline;
  const auto scene = [&]() -> asio::awaitable<void> {
    const auto body = [&](hf::call_context& ctx) -> asio::awaitable<int> {
      const hf::call_options options{.deadline = limit, .parent = &ctx};
      auto r = is_opaque ? co_await pipe(opaque(call), options)
                         : co_await pipe(lasting(call), options);
      REQUIRE(r.has_error());
      seen = r.error();
      co_return 0;
    };
    const auto ignored = co_await around(body);
    (void)ignored;
  };
  asio::co_spawn(s.context, scene,
                 asio::bind_cancellation_slot(stop.slot(), [](std::exception_ptr) {}));
  s.time.run_for(cancel);
  stop.emit(asio::cancellation_type::terminal);
  s.time.run();
  REQUIRE(seen);
  if (parent < std::min({inner, outer, deadline, cancel})) {
    // The deadline of the surrounding call, told as what it is there.
    CHECK(seen->code() == errc::attempt_timeout);
  } else {
    CHECK(seen->code() == expected);
  }
  if (seen->code() == errc::cancelled) {
    CHECK(seen->code() == hf::condition::cancelled);
    CHECK(seen->code() != hf::condition::timed_out);
  } else {
    CHECK(seen->code() == hf::condition::timed_out);
    CHECK(seen->code() != hf::condition::cancelled);
    CHECK(seen->policy() == hf::policy_kind::timeout);
  }
}

TEST_CASE("bug 40: a timeout around attempts tells itself from one of an attempt",
          "[conformance]") {
  stage s;
  const hf::retry retry{.max_attempts = 5, .wait = {.base = 0ns}};
  const auto pipe = hf::pipeline().with(hf::timeout{2s}).with(retry).with(hf::timeout{3s});
  s.play([&]() -> asio::awaitable<void> {
    const auto r = co_await pipe(opaque(10s));
    CHECK(r.error().code() == errc::total_timeout);
    CHECK(r.error().attempts() == 2);
    CHECK(s.elapsed() == 3s);
  });
}

TEST_CASE("bug 40: a timeout of the call's own, inside, is not taken for ours", "[conformance]") {
  stage s;
  const auto call = []() -> asio::awaitable<int> {
    throw boost::system::system_error(asio::error::timed_out);
    co_return 0;
  };
  const auto aborted = []() -> asio::awaitable<int> {
    throw boost::system::system_error(asio::error::operation_aborted);
    co_return 0;
  };
  const auto pipe = hf::pipeline().with(hf::timeout{2s});
  s.play([&]() -> asio::awaitable<void> {
    auto r = co_await pipe(call);
    CHECK(r.error().code() == asio::error::timed_out);
    CHECK(r.error().code() != hf::condition::timed_out);
    r = co_await pipe(aborted);  // aborted by somebody, but neither by us nor by our caller
    CHECK(r.error().code() == asio::error::operation_aborted);
    CHECK(r.error().code() != hf::condition::cancelled);
  });
}
