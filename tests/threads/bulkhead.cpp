// SPDX-License-Identifier: BSL-1.0
// Real threads: operations of all weights and priorities share a bulkhead and a load shedder whose
// options change all the while.
#include <array>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>
#include <random>
#include <string>
#include <thread>

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::priority;
using hf::queue_order;

constexpr unsigned thread_count = 4;
constexpr unsigned highest_limit = 12;

std::uint64_t chance() {
  thread_local std::mt19937_64 engine{std::random_device{}()};
  return engine();
}
hf::duration short_while() { return std::chrono::microseconds(chance() % 400); }

struct shop {
  hf::bulkhead bulkhead{{.limit = 8, .queue = 64, .max_queue_time = 5ms}};
  hf::load_shedder shedder{{.window = 1ms, .window_calls = 50, .capacity = 40, .rotate_every = 1s}};
  std::array<std::atomic<int>, 20> by_code{};
  std::atomic<unsigned> inside{0};  // permits of the calls at work
  std::atomic<unsigned> peak{0};
  std::atomic<int> ended{0};

  int count(hf::errc e) const { return by_code[static_cast<std::size_t>(e)].load(); }
};

asio::awaitable<void> session(shop& s, int operations) {
  const auto pipe = hf::pipeline()
                        .with(s.bulkhead)
                        .with(hf::timeout{3ms})
                        .with(s.shedder);
  for (int i = 0; i < operations; ++i) {
    const unsigned weight = 1 + static_cast<unsigned>(chance() % 4);
    const std::string tenant = "tenant " + std::to_string(chance() % 12);
    const auto call = [&s, weight]() -> asio::awaitable<int> {
      const unsigned now = s.inside.fetch_add(weight) + weight;
      unsigned seen = s.peak.load();
      while (seen < now && !s.peak.compare_exchange_weak(seen, now)) {
      }
      struct leaver {
        shop& at;
        unsigned held;
        ~leaver() { at.inside -= held; }
      } const guard{s, weight};
      co_await hf::sleep_for(short_while());
      co_return 1;
    };
    const hf::result<int> r = co_await pipe(
        call,
        {.priority = static_cast<priority>(chance() % 5), .weight = weight, .tenant = tenant});
    ++s.by_code[r ? 0 : static_cast<std::size_t>(r.error().code().value())];
  }
  ++s.ended;
}

void check_at_rest(const shop& s) {
  CHECK(s.inside == 0);
  CHECK(s.bulkhead.in_use() == 0);
  CHECK(s.bulkhead.waiting() == 0);
  CHECK(s.shedder.snapshot().in_flight == 0);
}

}  // namespace

TEST_CASE("threads: a bulkhead whose options change all the while", "[threads]") {
  shop s;
  std::atomic<bool> stop{false};
  std::jthread operator_thread([&] {
    for (unsigned i = 0; !stop; ++i) {
      const unsigned limit = 1 + static_cast<unsigned>(chance() % highest_limit);
      switch (i % 5) {
        case 0: s.bulkhead.resize(limit); break;
        case 1:
          s.bulkhead.reconfigure({.limit = limit,
                                  .queue = static_cast<unsigned>(chance() % 64),
                                  .max_queue_time = 5ms,
                                  .order = static_cast<queue_order>(chance() % 4),
                                  .codel_interval = 2ms,
                                  .codel_target = 1ms});
          break;
        case 2:
          s.shedder.reconfigure({.signal = static_cast<hf::overload_signal>(chance() % 2),
                                 .threshold = std::chrono::microseconds(1 + chance() % 1000),
                                 .window = 1ms,
                                 .window_calls = 50,
                                 .capacity = chance() % 3 == 0 ? 0U : 40U,
                                 .rotate_every = 1s});
          break;
        case 3: {
          const auto snap = s.bulkhead.snapshot();
          if (snap.in_use > highest_limit) ++s.by_code[19];
          std::string text;
          s.bulkhead.core()->describe(text);
          s.shedder.core()->describe(text);
          break;
        }
        case 4: static_cast<void>(s.shedder.snapshot()); break;
      }
      std::this_thread::sleep_for(200us);
    }
  });
  {
    asio::thread_pool pool(thread_count);
    for (int i = 0; i < 60; ++i) asio::co_spawn(pool, session(s, 150), [](std::exception_ptr) {});
    pool.join();
  }
  stop = true;
  operator_thread.join();
  CHECK(s.ended == 60);
  check_at_rest(s);
  CHECK(s.peak <= highest_limit);
  CHECK(s.peak > 1);
  CHECK(s.by_code[19] == 0);
  CHECK(s.by_code[0] > 0);
  CHECK(s.count(hf::errc::bulkhead_full) > 0);
  CHECK(s.count(hf::errc::shed) > 0);
  CHECK(s.count(hf::errc::too_heavy) > 0);
  CHECK(s.bulkhead.snapshot().queued > 0);
  // All permits are really there.
  s.bulkhead.resize(7);
  CHECK(s.bulkhead.core()->try_acquire(7));
  CHECK_FALSE(s.bulkhead.core()->try_acquire());
  s.bulkhead.core()->release(7);
}

TEST_CASE("threads: a bulkhead that is drained under load", "[threads]") {
  for (int round = 0; round < 20; ++round) {
    shop s;
    std::atomic<int> drained{0};
    {
      asio::thread_pool pool(thread_count);
      for (int i = 0; i < 20; ++i) asio::co_spawn(pool, session(s, 20), [](std::exception_ptr) {});
      const auto drain = [&]() -> asio::awaitable<void> {
        co_await hf::sleep_for(1ms);
        co_await s.bulkhead.drain();
        if (s.bulkhead.in_use() == 0 && s.bulkhead.waiting() == 0) ++drained;
      };
      for (int i = 0; i < 3; ++i) asio::co_spawn(pool, drain, [](std::exception_ptr) {});
      pool.join();
    }
    CHECK(drained == 3);
    CHECK(s.ended == 20);
    check_at_rest(s);
  }
}
