// SPDX-License-Identifier: BSL-1.0
// What a cache allocates. A program of its own, since it replaces `operator new`.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>
#include <string>

#include "../support/allocations.hpp"

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

asio::awaitable<int> ready(hf::call_context&) { co_return 1; }

constexpr int warm_up = 200;
constexpr int measured = 1000;

template <class Pipeline, class Key>
std::uint64_t count(const Pipeline& pipeline, Key key) {
  asio::io_context ctx{1};
  std::uint64_t counted = 0;
  int surprises = 0;
  const auto loop = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < warm_up + measured; ++i) {
      if (i == warm_up) counted = support::allocations();
      const auto r = co_await pipeline(ready, {.cache_key = key(i)});
      if (!r.has_value()) ++surprises;
    }
    counted = support::allocations() - counted;
  };
  asio::co_spawn(ctx, loop(), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  ctx.run();
  CHECK(surprises == 0);
  return counted;
}

void skip_without_recycling() {
#ifdef BOOST_ASIO_DISABLE_AWAITABLE_FRAME_RECYCLING
  SKIP("Asio allocates each coroutine frame in this build");
#endif
}

}  // namespace

TEST_CASE("allocations: cache, a hit") {
  skip_without_recycling();
  const hf::cache<int> cache({.ttl = 1h});
  const auto fixed = [](int) {
    return std::string_view("a key that is longer than what a string keeps in place");
  };
  CHECK(count(hf::pipeline().with(cache), fixed) == 0);
  CHECK(count(hf::pipeline().with(hf::timeout{1s}).with(cache).fallback(0), fixed) == 0);
  CHECK(cache.snapshot().misses == 1);
}

TEST_CASE("allocations: cache, passed by") {
  skip_without_recycling();
  const hf::cache<int> cache;
  CHECK(count(hf::pipeline().with(cache), [](int) { return std::string_view(); }) == 0);
}

TEST_CASE("allocations: cache, a miss costs what its documentation says") {
  skip_without_recycling();
  const hf::cache<int> cache({.max_entries = 64, .ttl = 1h});
  // Steady state: each insert evicts. The ticket, the flight, the outcome and the entry; keys this
  // short need no memory of their own.
  const auto next = [text = std::string()](int i) mutable {
    text = std::to_string(i);
    return std::string_view(text);
  };
  const auto n = count(hf::pipeline().with(cache), next);
  CHECK(n == 4 * measured);
  CHECK(cache.snapshot().evicted > 0);
}
