// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <catch2/catch_all.hpp>
#include <holdfast/detail/event_queue.hpp>
#include <latch>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <thread>
#include <vector>

namespace hf = holdfast;
using queue = hf::detail::event_queue<int>;
using list = std::vector<int>;

namespace {

auto event(auto e) {
  return [e] { return e; };
}

}  // namespace

TEST_CASE("events arrive in order, at every listener", "[event_queue]") {
  queue q;
  list a;
  list b;
  const auto first = q.subscribe([&](int e) { a.push_back(e); });
  const auto second = q.subscribe([&](int e) { b.push_back(e); });
  q.push(event(1));
  q.push(event(2));
  CHECK(a.empty());  // not before `deliver`
  q.deliver();
  q.push(event(3));
  q.deliver();
  CHECK(a == list{1, 2, 3});
  CHECK(b == a);
}

TEST_CASE("without listeners nothing is kept", "[event_queue]") {
  queue q;
  q.push(event(1));
  q.deliver();
  list a;
  const auto sub = q.subscribe([&](int e) { a.push_back(e); });
  q.push(event(2));
  q.deliver();
  CHECK(a == list{2});
}

TEST_CASE("what a listener causes comes after its own call, not inside it", "[event_queue]") {
  queue q;
  list a;
  int depth = 0;
  const auto sub = q.subscribe([&](int e) {
    CHECK(++depth == 1);
    a.push_back(e);
    if (e < 4) {
      q.push(event(e + 1));
      q.deliver();
    }
    --depth;
  });
  list b;
  const auto second = q.subscribe([&](int e) { b.push_back(e); });
  q.push(event(1));
  q.deliver();
  CHECK(a == list{1, 2, 3, 4});
  CHECK(b == list{1, 2, 3, 4});
}

TEST_CASE("a listener that throws is counted and disturbs nobody", "[event_queue]") {
  queue q;
  list a;
  const auto bad = q.subscribe([](int) { throw std::runtime_error("no"); });
  const auto worse = q.subscribe([](int e) { throw e; });
  const auto good = q.subscribe([&](int e) { a.push_back(e); });
  q.push(event(1));
  q.push(event(2));
  CHECK_NOTHROW(q.deliver());
  CHECK(a == list{1, 2});
  CHECK(q.errors() == 4);
  q.push(event(3));
  q.deliver();  // delivery goes on working
  CHECK(a == list{1, 2, 3});
}

TEST_CASE("a subscription ends once, by cancel, destruction or assignment", "[event_queue]") {
  queue q;
  list a;
  hf::subscription sub = q.subscribe([&](int e) { a.push_back(e); });
  hf::subscription moved = std::move(sub);
  q.push(event(1));
  q.deliver();
  SECTION("cancel") {
    moved.cancel();
    moved.cancel();
  }
  SECTION("assignment") { moved = hf::subscription(); }
  SECTION("destruction") { const hf::subscription gone = std::move(moved); }
  q.push(event(2));
  q.deliver();
  CHECK(a == list{1});
}

TEST_CASE("events that were pushed before the unsubscription are not delivered after it",
          "[event_queue]") {
  queue q;
  list a;
  auto sub = q.subscribe([&](int e) { a.push_back(e); });
  q.push(event(1));
  sub.cancel();
  q.deliver();
  CHECK(a.empty());
}

TEST_CASE("a listener may unsubscribe itself, and others", "[event_queue]") {
  queue q;
  list a;
  list b;
  hf::subscription self;
  hf::subscription other;
  self = q.subscribe([&](int e) {
    a.push_back(e);
    self.cancel();
    other.cancel();
  });
  other = q.subscribe([&](int e) { b.push_back(e); });
  q.push(event(1));
  q.push(event(2));
  q.deliver();
  CHECK(a == list{1});
  CHECK(b.empty());
}

TEST_CASE("a listener that comes during a delivery sees the events after it", "[event_queue]") {
  queue q;
  list late;
  hf::subscription added;
  const auto sub = q.subscribe([&](int e) {
    if (e == 1) added = q.subscribe([&](int x) { late.push_back(x); });
  });
  q.push(event(1));
  q.push(event(2));
  q.deliver();
  CHECK(late == list{2});
}

TEST_CASE("a listener may destroy the queue; a subscription may outlive it", "[event_queue]") {
  auto q = std::make_unique<queue>();
  list a;
  hf::subscription sub = q->subscribe([&](int e) {
    a.push_back(e);
    q.reset();
  });
  q->push(event(1));
  q->deliver();
  CHECK(a == list{1});
  CHECK_FALSE(q);
  CHECK_NOTHROW(sub.cancel());
}

TEST_CASE("what ends with a listener may use the queue", "[event_queue]") {
  struct at_end {
    queue& q;
    ~at_end() { q.push(event(2)); }
  };
  queue q;
  list a;
  const auto stays = q.subscribe([&](int e) { a.push_back(e); });
  hf::subscription self;
  self = q.subscribe([&self, last = std::make_shared<at_end>(q)](int) { self.cancel(); });
  q.push(event(1));
  q.deliver();
  CHECK(a == list{1, 2});
}

TEST_CASE("an event for which there is no memory is counted, and the next ones come",
          "[event_queue]") {
  struct heavy {
    explicit heavy(int n) : number(n) {}
    heavy(const heavy&) = default;
    heavy(heavy&& other) : number(other.number) {
      if (number == 1) throw std::bad_alloc();
    }
    int number;
  };
  hf::detail::event_queue<heavy> q;
  list a;
  const auto sub = q.subscribe([&](const heavy& e) { a.push_back(e.number); });
  for (const int n : {1, 2}) {
    q.push([n] { return heavy(n); });
    q.deliver();
  }
  CHECK(a == list{2});
  CHECK(q.errors() == 1);
}

TEST_CASE("an event that cannot be made is counted, and made only where anybody listens",
          "[event_queue]") {
  queue q;
  int made = 0;
  const auto fails = [&]() -> int {
    ++made;
    throw std::bad_alloc();
  };
  q.push(fails);
  CHECK(made == 0);
  const auto sub = q.subscribe([](int) {});
  q.push(fails);
  CHECK(made == 1);
  CHECK(q.errors() == 1);
}

TEST_CASE("unsubscribing waits for a call under way on another thread", "[event_queue][threads]") {
  // Real threads.
  for (int round = 0; round < 200; ++round) {
    queue q;
    std::latch inside(1);
    std::atomic<bool> running{false};
    auto sub = q.subscribe([&](int) {
      running = true;
      inside.count_down();
      for (int i = 0; i < 100; ++i) std::this_thread::yield();
      running = false;
    });
    q.push(event(1));
    std::jthread deliverer([&] { q.deliver(); });
    inside.wait();
    sub.cancel();
    REQUIRE_FALSE(running);
  }
}

TEST_CASE("threads that push in an order deliver in that order, one at a time",
          "[event_queue][threads]") {
  // Real threads.
  queue q;
  std::mutex order;
  int next = 0;
  constexpr int each = 5'000;
  list seen;
  std::atomic<int> inside{0};
  bool overlap = false;
  const auto sub = q.subscribe([&](int e) {
    if (++inside != 1) overlap = true;
    seen.push_back(e);
    --inside;
  });
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < each; ++i) {
          {
            const std::lock_guard lock(order);
            q.push(event(next++));
          }
          q.deliver();
        }
      });
    }
  }
  q.deliver();
  CHECK_FALSE(overlap);
  REQUIRE(seen.size() == 4 * each);
  CHECK(std::ranges::is_sorted(seen));
}
