// SPDX-License-Identifier: BSL-1.0
// What a cache allocates. A program of its own, since it replaces `operator new`.
#include <boost/asio/awaitable.hpp>
#include <catch2/catch_all.hpp>
#include <fmt/format.h>
#include <holdfast/resilient.hpp>
#include <iterator>
#include <string>
#include <utility>

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

TEST_CASE("allocations: cache, the last good answer") {
  const hf::cache<int> cache({.max_entries = 64});
  const auto guard = hf::pipeline().with(hf::timeout{1s}).fallback(cache);
  const std::string_view long_key = "a key that is longer than what a string keeps in place";
  CHECK(count(guard, [](int) { return std::string_view(); }) == 0);
  CHECK(count(guard, [&](int) { return long_key; }) == 1000);  // the answer that is kept
  std::string text;
  text.reserve(100);
  const auto next = [&](std::string_view prefix) {
    return [&text, prefix](int i) {
      text = prefix;
      fmt::format_to(std::back_inserter(text), "{}", i);
      return std::string_view(text);
    };
  };
  CHECK(count(guard, next("")) == 2 * 1000);        // that, and the entry
  CHECK(count(guard, next(long_key)) == 3 * 1000);  // and the key
}

TEST_CASE("allocations: a key takes no memory when nothing is known of it any more") {
  using namespace hf::detail;
  using hf::verdict;
  cache_core core("c", {.max_entries = 10, .max_weight = 10, .ttl = 10s});
  constexpr hf::time_point now{1h};
  const auto number = [](std::size_t weight) -> cache_landing {
    return {.item = kept_ptr(new kept_value<int>(7, verdict::success)),
            .weight = weight,
            .store = true};
  };
  const auto failing = []() -> cache_landing {
    return {.item = kept_ptr(new kept_failure(hf::failure(hf::errc::exception), verdict::failure))};
  };
  const auto lead = [&](const std::string& key) {
    cache_answer answer;
    REQUIRE(core.ask(key, now, answer) == cache_core::found::lead);
    return std::move(answer.flight);
  };
  const auto land = [&](const std::string& key, cache_landing what) {
    core.land(*lead(key), std::move(what), now, 0);
  };
  const auto blocks_left = [&](auto use) {
    use("a key that is on the heap, for the first time");
    const auto before = support::live_blocks();
    for (int i = 0; i < 1000; ++i) use("a key that is on the heap " + std::to_string(i));
    return support::live_blocks() - before;
  };
  CHECK(blocks_left([&](const std::string& key) { core.hand_over(*lead(key)); }) == 0);
  CHECK(blocks_left([&](const std::string& key) { land(key, failing()); }) == 0);
  CHECK(blocks_left([&](const std::string& key) { land(key, number(11)); }) == 0);
  CHECK(blocks_left([&](const std::string& key) {
          land(key, number(1));
          core.erase(key);
        }) == 0);
  for (int i = 0; i < 10; ++i) land("as many as there may be " + std::to_string(i), number(1));
  CHECK(blocks_left([&](const std::string& key) { land(key, number(1)); }) == 0);
}
