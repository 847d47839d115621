// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <atomic>
#include <catch2/catch_all.hpp>
#include <chrono>
#include <deque>
#include <holdfast/detail/call_ring.hpp>
#include <holdfast/detail/ring_place.hpp>
#include <memory>
#include <random>
#include <thread>
#include <vector>

using holdfast::detail::call_kind;
using holdfast::detail::call_ring;
using holdfast::detail::ring_place;
using holdfast::detail::window_counts;

namespace {

window_counts count(const std::deque<call_kind>& calls) {
  window_counts c;
  for (const call_kind k : calls) c.add(k, 1);
  return c;
}

}  // namespace

TEST_CASE("a ring holds the last n calls: model check", "[call_ring]") {
  const unsigned size = GENERATE(1u, 2u, 3u, 10u, 64u, 1000u, 10'000u);
  std::mt19937_64 random(size);
  call_ring ring(size);
  std::deque<call_kind> model;
  for (int i = 0; i < 30'000; ++i) {
    const auto k = static_cast<call_kind>(random() % 4);
    ring.add(k);
    model.push_back(k);
    if (model.size() > size) model.pop_front();
    if (random() % 1000 == 0) {
      ring.clear();
      model.clear();
    }
    if (i % 7 == 0 || i < 20) REQUIRE(ring.sum() == count(model));
  }
}

TEST_CASE("a ring forgets as often as it is told", "[call_ring]") {
  call_ring ring(4);
  for (int i = 0; i < 1000; ++i) {
    // Slots of many epochs ago are left in the ring.
    for (int n = i % 8; n > 0; --n) ring.add(call_kind::failed);
    REQUIRE(ring.sum().failed == static_cast<std::uint64_t>(std::min(i % 8, 4)));
    ring.clear();
    REQUIRE(ring.sum().total() == 0);
  }
}

TEST_CASE("a ring does not take for new what it forgot under the same number", "[call_ring]") {
  const unsigned size = GENERATE(range(60u, 70u));  // as large as there are numbers, more or less
  call_ring ring(size);
  for (int i = 0; i < 1000; ++i) {
    ring.add(call_kind::failed);
    REQUIRE(ring.sum() == window_counts{.failed = 1});
    ring.clear();
  }
}

TEST_CASE("the sum of a large ring costs no more than that of a small one", "[call_ring]") {
  // Real time, with a margin of 50: it would be some thousand times as much to look at each slot.
  const auto time_of = [](const call_ring& ring) {
    auto shortest = std::chrono::steady_clock::duration::max();
    for (int run = 0; run < 10; ++run) {
      const auto begin = std::chrono::steady_clock::now();
      for (int i = 0; i < 20; ++i) REQUIRE(ring.sum().total() == ring.size());
      shortest = std::min(shortest, std::chrono::steady_clock::now() - begin);
    }
    return shortest;
  };
  const auto filled = [](unsigned size) {
    auto ring = std::make_unique<call_ring>(size);
    for (unsigned i = 0; i < 3 * size; ++i) ring->add(static_cast<call_kind>(i % 3));
    return ring;
  };
  CHECK(time_of(*filled(10'000)) < 50 * time_of(*filled(1)));
}

TEST_CASE("a ring of another size takes the most recent calls over", "[call_ring]") {
  const unsigned size = GENERATE(1u, 3u, 5u, 8u, 100u);
  call_ring old(5);
  std::deque<call_kind> model;
  const int n = GENERATE(0, 3, 5, 12);
  for (int i = 0; i < n; ++i) {
    const auto k = static_cast<call_kind>(i % 3);
    old.add(k);
    model.push_back(k);
    if (model.size() > std::min(5u, size)) model.pop_front();
  }
  call_ring made(size);
  made.copy_from(old);
  CHECK(made.sum() == count(model));
}

TEST_CASE("a ring is exact once its threads are done", "[call_ring][threads]") {
  // Real threads, on rings so small that they overtake each other in it.
  const unsigned size = GENERATE(1u, 2u, 7u, 100u);
  call_ring ring(size);
  {
    std::vector<std::jthread> threads;
    for (unsigned t = 0; t < 4; ++t) {
      threads.emplace_back([&ring, t] {
        for (unsigned i = 0; i < 20'000; ++i) {
          ring.add(static_cast<call_kind>((i + t) % 4));
          if (i % 16 == 0) {
            // Never more than there can be, even in between.
            if (ring.sum().total() > ring.size()) std::abort();
          }
          if (t == 0 && i % 4096 == 0) ring.clear();
        }
      });
    }
  }
  for (unsigned i = 0; i < size; ++i) ring.add(call_kind::slow);
  CHECK(ring.sum().slow == size);
  CHECK(ring.sum().total() == size);
}

TEST_CASE("a ring that was replaced goes when no call is inside", "[call_ring]") {
  ring_place place;
  CHECK_FALSE(place.use([](call_ring&) {}));
  for (unsigned size = 1; size <= 1000; ++size) place.replace(std::make_unique<call_ring>(size));
  CHECK(place.replaced() == 0);
  CHECK(place.use([&](call_ring& ring) {
    place.replace(std::make_unique<call_ring>(7));
    CHECK(place.replaced() == 1);
    CHECK(ring.size() == 1000);
    place.replace(nullptr);
    CHECK(place.replaced() == 2);
    ring.add(call_kind::good);
  }));
  CHECK(place.get() == nullptr);
  place.replace(std::make_unique<call_ring>(8));
  CHECK(place.replaced() == 0);
  CHECK(place.use([](call_ring& ring) { CHECK(ring.size() == 8); }));
}

TEST_CASE("a ring is replaced while calls count", "[call_ring][threads]") {
  // Real threads.
  ring_place place;
  std::atomic<bool> done{false};
  std::atomic<unsigned> counted{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&] {
        while (!done) counted += place.use([](call_ring& ring) { ring.add(call_kind::good); });
      });
    }
    for (unsigned i = 0; i < 5000 || counted == 0; ++i) {
      place.replace(i % 3 == 0 ? nullptr : std::make_unique<call_ring>(1 + i % 50));
    }
    done = true;
  }
  place.replace(nullptr);
  CHECK(place.replaced() == 0);
}
