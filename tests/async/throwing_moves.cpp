// SPDX-License-Identifier: BSL-1.0
// A value whose move or copy throws is a failure of the operation, and never its loss.
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/use_future.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>
#include <stdexcept>

#include "../support/in_virtual_time.hpp"

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;
using virtual_time = hf::testing::virtual_time;

/// Moves and copies of it throw when their count has come down to zero.
struct fragile {
  explicit fragile(int* moves_left) : left(moves_left) {}
  fragile(const fragile& other) : left(other.left) { count(); }
  fragile(fragile&& other) : left(other.left) { count(); }  // NOLINT(*-noexcept-move*)
  fragile& operator=(const fragile&) = delete;
  ~fragile() = default;

  void count() const {
    if (*left > 0 && --*left == 0) throw std::runtime_error("fragile");
  }
  int* left;
};

/// Awaits `run(left)` with the first, the second ... move throwing until none does. What the value
/// throws past the end of the operation, on its way into the caller's variable, is the caller's.
template <class Run>
void at_every_move(Run run) {
  int throwing = 0;
  bool reached = true;
  while (reached) {
    ++throwing;
    REQUIRE(throwing < 100);
    int ended = 0;
    in_virtual_time([&](virtual_time&) -> asio::awaitable<void> {
      int left = throwing;
      try {
        const hf::result<fragile> r = co_await run(left);
        ++ended;
        if (r.has_error()) {
          CHECK(r.error().exception() != nullptr);
          CHECK(left == 0);
        }
      } catch (const std::runtime_error&) {
        ++ended;
      }
      reached = left == 0;
    });
    CHECK(ended == 1);
  }
  CHECK(throwing > 1);
}

auto makes(int& left) {
  return [&left](hf::call_context& ctx) -> asio::awaitable<fragile> {
    co_await hf::sleep_for(1ms, ctx.token());
    co_return fragile(&left);
  };
}

}  // namespace

TEST_CASE("throwing moves: below a timeout, in the caller's chain and on one of its own") {
  const auto pipe = hf::pipeline().with(hf::timeout{1s});
  at_every_move([&](int& left) { return pipe(makes(left)); });
  at_every_move([&](int& left) {
    return pipe([&left]() -> asio::awaitable<fragile> {
      co_await hf::sleep_for(1ms);
      co_return fragile(&left);
    });
  });
}

TEST_CASE("throwing moves: below a hedge") {
  const auto pipe = hf::pipeline().with(hf::hedge({.delay = 10ms})).with(hf::timeout{1s});
  at_every_move([&](int& left) { return pipe(makes(left)); });
}

TEST_CASE("throwing moves: below a hedge with policies inside") {
  const auto pipe = hf::pipeline()
                        .with(hf::timeout{100ms})
                        .with(hf::hedge({.delay = 10ms}))
                        .with(hf::timeout{1s});
  at_every_move([&](int& left) { return pipe(makes(left)); });
}

TEST_CASE("throwing moves: out of a fallback") {
  const auto fails = []() -> asio::awaitable<hf::result<fragile>> {
    co_return hf::failure(hf::errc::exception);
  };
  at_every_move([&](int& left) {
    return hf::resilient(fails).fallback(makes(left)).run();
  });
}

TEST_CASE("throwing moves: through a cache, and to those that wait for the same answer") {
  at_every_move([&](int& left) {
    hf::cache<fragile> cache({.ttl = 1s});
    return hf::pipeline().with(cache)(makes(left), {.cache_key = "key"});
  });
  for (int throwing = 1; throwing < 20; ++throwing) {
    int left = 0;
    int ended = 0;
    asio::io_context ctx{1};
    virtual_time time{ctx};
    hf::cache<fragile> cache({.ttl = 1s});
    const auto pipe = hf::pipeline().with(cache).with(hf::timeout{1s});
    const auto asks = [&]() -> asio::awaitable<void> {
      const auto r = co_await pipe(makes(left), {.cache_key = "key"});
      static_cast<void>(r);
    };
    for (int i = 0; i < 3; ++i) {
      asio::co_spawn(ctx, asks(), [&](const std::exception_ptr&) { ++ended; });
    }
    left = throwing;
    time.run();
    CHECK(ended == 3);
  }
}

TEST_CASE("throwing moves: a chain that was started with a token completes") {
  for (int throwing = 1; throwing < 20; ++throwing) {
    for (const bool named : {false, true}) {
      int left = throwing;
      int ended = 0;
      asio::io_context ctx{1};
      virtual_time time{ctx};
      // Takes the result by reference: what the value throws into a parameter is the caller's.
      const auto handler = asio::bind_executor(ctx, [&](auto&& r) {
        static_cast<void>(r.has_error());
        ++ended;
      });
      auto chain = hf::resilient(makes(left)).with(hf::timeout{1s});
      if (named) {
        chain.on(ctx)(handler);
      } else {
        chain(handler);
      }
      time.run();
      CHECK(ended == 1);
    }
  }
}

TEST_CASE("throwing moves: a handler that takes the result by value gets it in place") {
  for (int throwing = 1; throwing < 20; ++throwing) {
    int left = throwing;
    int ended = 0;
    asio::io_context ctx{1};
    virtual_time time{ctx};
    auto handler = [&](hf::result<fragile>) { ++ended; };
    hf::resilient(makes(left)).with(hf::hedge({.delay = 10ms}))(asio::bind_executor(ctx, handler));
    try {
      time.run();
    } catch (const std::runtime_error&) {  // out of the binder's own hands
      ++ended;
    }
    CHECK(ended == 1);
  }
}
