// SPDX-License-Identifier: BSL-1.0
// Real threads and real, short sleeps: many operations ask a shared cache for few keys, on
// executors of every kind, while callers cancel, timeouts expire and the options change.
#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

constexpr int thread_count = 4;
constexpr std::size_t key_count = 5;

std::uint64_t chance() {
  thread_local std::mt19937_64 engine{std::random_device{}()};
  return engine();
}
hf::duration short_while() { return std::chrono::microseconds(chance() % 1500); }

hf::cache_options<std::string> options() {
  return {.name = "shared",
          .max_entries = 4,
          .ttl = 2ms,
          .ttl_jitter = 0.5,
          .stale_while_revalidate = 1ms,
          .stale_if_error = 1ms,
          .refresh_ahead = 0.7,
          .refresh_timeout = 10ms};
}

struct shop {
  hf::cache<std::string> cache{options()};
  hf::similar_answers<std::string> similar{cache, {.max_entries = 4}};
  // Of one key, without a background: who may be in the call at once.
  hf::cache<std::string> strict{{.ttl = 0s}};
  std::array<std::atomic<int>, key_count> inside{};
  std::atomic<int> calls{0};
  std::atomic<int> values{0};
  std::atomic<int> failures{0};
  std::atomic<int> wrong{0};
  std::atomic<int> two_at_once{0};
  std::atomic<int> started{0};
  std::atomic<int> ended{0};
};

struct call {
  shop* s;
  std::size_t key;
  bool strict;
  asio::awaitable<std::string> operator()(hf::call_context& ctx) const {
    struct at_work {
      explicit at_work(std::atomic<int>& n) : count(n), first(n.fetch_add(1) == 0) {}
      at_work(const at_work&) = delete;
      ~at_work() { count.fetch_sub(1); }
      std::atomic<int>& count;
      bool first;
    };
    ++s->calls;
    std::optional<at_work> guard;
    if (strict) {
      guard.emplace(s->inside[key]);
      if (!guard->first) ++s->two_at_once;
    }
    co_await hf::sleep_for(short_while(), ctx.token());
    if (chance() % 6 == 0) {
      throw boost::system::system_error(make_error_code(boost::system::errc::connection_reset));
    }
    co_return "answer " + std::to_string(key);
  }
};

asio::awaitable<void> session(shop& s, int operations) {
  const auto loose = hf::pipeline()
                         .with(s.cache)
                         .with(hf::timeout{.after = 3ms})
                         .fallback(s.cache.link())
                         .fallback(s.similar.link());
  const auto strict = hf::pipeline().with(s.strict).with(hf::timeout{.after = 2ms});
  for (int i = 0; i < operations; ++i) {
    const auto key = static_cast<std::size_t>(chance() % key_count);
    const std::string text = "key " + std::to_string(key);
    hf::result<std::string> r =
        i % 2 ? co_await loose(call{&s, key, false}, {.cache_key = text})
              : co_await strict(call{&s, key, true}, {.cache_key = text});
    if (r.has_value()) {
      ++s.values;
      if (r.value() != "answer " + std::to_string(key)) ++s.wrong;
    } else {
      ++s.failures;
    }
    if (chance() % 40 == 0) s.cache.erase(text);
    if (chance() % 40 == 0) s.cache.put(text, "answer " + std::to_string(key));
    if (chance() % 100 == 0) {
      auto o = options();
      o.max_entries = 1 + chance() % 8;
      s.cache.reconfigure(o);
    }
    if (chance() % 200 == 0) s.cache.clear();
  }
}

/// A session that its caller cancels at some moment, on its strand as Asio demands.
struct cancelled_session : std::enable_shared_from_this<cancelled_session> {
  explicit cancelled_session(const asio::any_io_executor& executor)
      : strand(asio::make_strand(executor)), timer(strand) {}

  void start(shop& s, int operations) {
    auto end = [self = shared_from_this(), &s](std::exception_ptr) { ++s.ended; };
    asio::co_spawn(strand, session(s, operations),
                   asio::bind_cancellation_slot(signal.slot(),
                                                asio::bind_executor(strand, std::move(end))));
    timer.expires_after(short_while() * 4);
    timer.async_wait([self = shared_from_this()](boost::system::error_code) {
      self->signal.emit(asio::cancellation_type::terminal);
    });
  }

  asio::any_io_executor strand;
  asio::steady_timer timer;
  asio::cancellation_signal signal;
};

void start_all(shop& s, const asio::any_io_executor& executor, int count, int operations) {
  for (int i = 0; i < count; ++i) {
    ++s.started;
    const auto end = [&s](std::exception_ptr e) {
      ++s.ended;
      if (e) ++s.wrong;
    };
    switch (i % 3) {
      case 0: asio::co_spawn(executor, session(s, operations), end); break;
      case 1: asio::co_spawn(asio::make_strand(executor), session(s, operations), end); break;
      case 2: std::make_shared<cancelled_session>(executor)->start(s, operations); break;
    }
  }
}

void check_at_rest(const shop& s) {
  CHECK(s.wrong == 0);
  CHECK(s.two_at_once == 0);
  CHECK(s.cache.snapshot().flights == 0);
  CHECK(s.strict.snapshot().flights == 0);
  CHECK(s.values > 0);
  // The test is worth nothing unless calls were shared.
  CHECK(s.strict.snapshot().shared > 0);
}

}  // namespace

TEST_CASE("threads: a shared cache on an io_context and a thread_pool at once", "[threads]") {
  shop s;
  {
    asio::io_context ctx;
    asio::io_context serial{1};
    asio::thread_pool pool(thread_count);
    start_all(s, ctx.get_executor(), 30, 60);
    start_all(s, serial.get_executor(), 10, 60);
    start_all(s, pool.get_executor(), 30, 60);
    std::vector<std::thread> threads;
    for (int i = 0; i < thread_count; ++i) threads.emplace_back([&ctx] { ctx.run(); });
    threads.emplace_back([&serial] { serial.run(); });
    for (auto& t : threads) t.join();
    pool.join();
  }
  CHECK(s.ended == s.started);
  check_at_rest(s);
}

TEST_CASE("threads: the leaders' context is destroyed, the followers' goes on", "[threads]") {
  for (int round = 0; round < 20; ++round) {
    shop s;
    {
      asio::thread_pool pool(2);
      {
        asio::io_context ctx;
        start_all(s, ctx.get_executor(), 20, 1000);
        start_all(s, pool.get_executor(), 10, 30);
        std::vector<std::thread> threads;
        for (int i = 0; i < thread_count; ++i) threads.emplace_back([&ctx] { ctx.run(); });
        std::this_thread::sleep_for(short_while() * 3);
        ctx.stop();
        for (auto& t : threads) t.join();
      }
      pool.join();
    }
    CHECK(s.wrong == 0);
    CHECK(s.two_at_once == 0);
    CHECK(s.cache.snapshot().flights == 0);
    CHECK(s.strict.snapshot().flights == 0);
  }
}
