// SPDX-License-Identifier: BSL-1.0
// No operation allocates memory from the heap once the program has warmed up. A program of its
// own, since it replaces `operator new`.
#include <array>
#include <barrier>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/detail/post_memory.hpp>
#include <holdfast/resilient.hpp>
#include <new>
#include <thread>

#include "../support/allocations_of.hpp"

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

// Named functions: a call that is a lambda would do as well.
asio::awaitable<int> ready() { co_return 1; }

asio::awaitable<int> suspends() {
  co_await asio::post(co_await asio::this_coro::executor, asio::deferred);
  co_return 1;
}

asio::awaitable<int> suspends_with_context(hf::call_context& ctx) {
  co_await asio::post(co_await asio::this_coro::executor, ctx.token());
  co_return 1;
}

constexpr auto token_call = [](auto token) {
  return asio::post(std::move(token));
};

template <class Pipeline, class Call>
std::uint64_t count(const Pipeline& pipeline, Call call, bool expect_value = true) {
  return support::allocations_of([&] { return pipeline(call); }, expect_value);
}

/// All kinds of call through one pipeline.
template <class Pipeline>
void check_none(const Pipeline& pipeline) {
  CHECK(count(pipeline, ready) == 0);
  CHECK(count(pipeline, suspends) == 0);
  CHECK(count(pipeline, suspends_with_context) == 0);
  CHECK(count(pipeline, token_call) == 0);
}

}  // namespace

TEST_CASE("allocations: the counter counts") {
  const auto before = support::allocations();
  auto* volatile one = new int(1);
  struct alignas(128) wide {
    char bytes[128];
  };
  auto* volatile two = new wide();
  auto* volatile three = new (std::nothrow) int[3];
  CHECK(support::allocations() - before >= 3);
  delete one;
  delete two;
  delete[] three;
}

TEST_CASE("allocations: a call that allocates is seen") {
  const auto allocates = []() -> asio::awaitable<int> {
    auto* volatile p = new int(1);
    delete p;
    co_return 1;
  };
  CHECK(count(hf::pipeline(), allocates) >= 1000);
}

TEST_CASE("allocations: a deadline before all others, each time") {
  const auto end = hf::clock::now() + 24h;
  CHECK(support::allocations_of([&](int i) {
          return hf::pipeline()(suspends_with_context, {.deadline = end - i * 10s});
        }) == 0);
}

TEST_CASE("allocations: empty pipeline") {
  check_none(hf::pipeline());
}

TEST_CASE("allocations: timeout") {
  check_none(hf::pipeline().with(hf::timeout{10s}));
}

TEST_CASE("allocations: detaching timeout") {
  // The callable is shared with the attempt that may outlive the operation: one allocation.
  const auto pipeline =
      hf::pipeline().with(hf::timeout{.after = 10s, .mode = hf::timeout_mode::detach});
  CHECK(count(pipeline, suspends) <= 1000);
}

TEST_CASE("allocations: retry") {
  check_none(hf::pipeline().with(hf::retry{}));
}

TEST_CASE("allocations: circuit breaker") {
  check_none(hf::pipeline().with(
      hf::circuit_breaker{{.failure_rate = 0.5, .window = 10s, .minimum_calls = 20}}));
}

TEST_CASE("allocations: bulkhead") {
  check_none(hf::pipeline().with(hf::bulkhead{{.limit = 4, .queue = 4}}));
}

TEST_CASE("allocations: fallback") {
  check_none(hf::pipeline().fallback(ready));
}

TEST_CASE("allocations: five policies") {
  check_none(hf::pipeline()
                 .with(hf::timeout{1s})
                 .with(hf::retry{})
                 .with(hf::circuit_breaker{})
                 .with(hf::bulkhead{})
                 .with(hf::timeout{5s})
                 .fallback(3));
}

TEST_CASE("allocations: where several threads may run the context") {
  const auto count_there = [](const auto& pipeline, auto call) {
    return support::allocations_of([&] { return pipeline(call); }, true, {.one_thread = false});
  };
  const auto timeout = hf::pipeline().with(hf::timeout{10s});
  CHECK(count_there(timeout, suspends) == 0);
  CHECK(count_there(timeout, suspends_with_context) == 0);
  CHECK(count_there(timeout.with(hf::retry{}).with(hf::bulkhead{{.limit = 4}}), suspends) == 0);
}

namespace {

/// Counts how often a chain of calls is seen on another thread than before.
struct moves {
  void look() {
    const auto here = std::this_thread::get_id();
    if (here != last) ++seen;
    last = here;
  }
  std::thread::id last{};
  std::uint64_t seen = 0;
};

}  // namespace

TEST_CASE("allocations: where four threads do run the context") {
  moves m;
  const auto opaque = [&m]() -> asio::awaitable<int> {
    m.look();
    co_await asio::post(co_await asio::this_coro::executor, asio::deferred);
    m.look();
    co_return 1;
  };
  const auto with_context = [&m](hf::call_context& ctx) -> asio::awaitable<int> {
    m.look();
    co_await asio::post(co_await asio::this_coro::executor, ctx.token());
    m.look();
    co_return 1;
  };
  const auto check = [&m](auto call) {
    m = {};
    const auto pipeline = hf::pipeline().with(hf::timeout{10s});
    const auto counted =
        support::allocations_of([&] { return pipeline(call); }, true,
                                {.measured = 20'000, .one_thread = false, .threads = 4});
    // Asio keeps two frames per thread. A call that ends on another thread takes its frames along;
    // the machine decides how often that happens.
    CHECK(counted <= 4 * m.seen + 100);
  };
  check(opaque);
  check(with_context);
}

TEST_CASE("allocations: memory that one thread posts and another frees comes back") {
  constexpr int rounds = 2000;
  std::array<void*, 16> blocks{};
  std::barrier<> turn(2);
  std::thread other([&] {
    for (int i = 0; i < rounds; ++i) {
      turn.arrive_and_wait();
      for (void* const b : blocks) hf::detail::post_memory::free(b);
      turn.arrive_and_wait();
    }
  });
  const auto before = support::allocations();
  for (int i = 0; i < rounds; ++i) {
    for (void*& b : blocks) b = hf::detail::post_memory::allocate_block();
    turn.arrive_and_wait();
    turn.arrive_and_wait();
  }
  const auto allocated = support::allocations() - before;
  other.join();
#ifndef BOOST_ASIO_DISABLE_AWAITABLE_FRAME_RECYCLING
  CHECK(allocated < 500);  // of 32,000 blocks; what the stores of two threads hold
#else
  CHECK(allocated >= rounds * blocks.size());
#endif
}

TEST_CASE("allocations: refusals") {
  hf::circuit_breaker open{{.name = "a circuit that was opened by hand"}};
  open.isolate();
  CHECK(count(hf::pipeline().with(open), ready, false) == 0);

  hf::circuit_breaker tripped{{.name = "tripped", .consecutive_failures = 1, .open_for = 1h}};
  hf::detail::breaker_permit permit;
  REQUIRE(tripped.core()->try_enter(permit, hf::clock::now()));
  tripped.core()->leave(permit, hf::verdict::failure, hf::clock::now());
  REQUIRE(tripped.state() == hf::breaker_state::open);
  CHECK(count(hf::pipeline().with(tripped), ready, false) == 0);

  hf::bulkhead full{{.name = "full", .limit = 1}};
  REQUIRE(full.core()->try_acquire());
  CHECK(count(hf::pipeline().with(full), ready, false) == 0);
  full.core()->release();
}

TEST_CASE("allocations: hedge") {
  // A call that takes a token needs a frame more than Asio's cache keeps.
  const auto pipeline = hf::pipeline().with(hf::hedge({.delay = 10s}));
  CHECK(count(pipeline, ready) == 0);
  CHECK(count(pipeline, suspends) == 0);
  CHECK(count(pipeline, suspends_with_context) == 0);
}
