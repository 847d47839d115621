// SPDX-License-Identifier: BSL-1.0
// What a cache allocates. A program of its own, since it replaces `operator new`.
#include <boost/asio/awaitable.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>
#include <string>

#include "../support/allocations_of.hpp"

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

asio::awaitable<int> ready(hf::call_context&) { co_return 1; }

template <class Pipeline, class Key>
std::uint64_t count(const Pipeline& pipeline, Key key) {
  return support::allocations_of(
      [&](int i) { return pipeline(ready, {.cache_key = key(i)}); });
}

}  // namespace

TEST_CASE("allocations: cache, a hit") {
  const hf::cache<int> cache({.ttl = 1h});
  const auto fixed = [](int) {
    return std::string_view("a key that is longer than what a string keeps in place");
  };
  CHECK(count(hf::pipeline().with(cache), fixed) == 0);
  CHECK(count(hf::pipeline().with(hf::timeout{1s}).with(cache).fallback(0), fixed) == 0);
  CHECK(cache.snapshot().misses == 1);
}

TEST_CASE("allocations: cache, passed by") {
  const hf::cache<int> cache;
  CHECK(count(hf::pipeline().with(cache), [](int) { return std::string_view(); }) == 0);
}

TEST_CASE("allocations: cache, a miss costs what its documentation says") {
  const hf::cache<int> cache({.max_entries = 64, .ttl = 1h});
  // Steady state: each insert evicts. The ticket, the flight, the outcome and the entry; keys this
  // short need no memory of their own.
  const auto next = [text = std::string()](int i) mutable {
    text = std::to_string(i);
    return std::string_view(text);
  };
  const auto n = count(hf::pipeline().with(cache), next);
  CHECK(n == 4 * 1000);
  CHECK(cache.snapshot().evicted > 0);
}
