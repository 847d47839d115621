// SPDX-License-Identifier: BSL-1.0
// Real threads and real, short sleeps: several threads share one adaptive limit, whose windows end
// all the time, while it is reconfigured and looked at.
#include <algorithm>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>
#include <random>
#include <thread>

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

constexpr int thread_count = 4;
constexpr unsigned most = 16;

std::uint64_t chance() {
  thread_local std::mt19937_64 engine{std::random_device{}()};
  return engine();
}

struct tally {
  std::atomic<unsigned> inside{0};
  std::atomic<unsigned> peak{0};
  std::atomic<int> values{0};
  std::atomic<int> refused{0};
  std::atomic<int> failed{0};
};

asio::awaitable<int> work(tally& t, hf::call_context& ctx) {
  struct guard {
    tally& t;
    explicit guard(tally& x) : t(x) {
      const unsigned now = ++t.inside;
      unsigned seen = t.peak.load();
      while (seen < now && !t.peak.compare_exchange_weak(seen, now)) {
      }
    }
    ~guard() { --t.inside; }
  } const g(t);
  if (chance() % 4 != 0)
    co_await hf::sleep_for(std::chrono::microseconds(chance() % 800), ctx.token());
  if (chance() % 16 == 0) throw boost::system::system_error(make_error_code(hf::errc::exception));
  co_return 1;
}

}  // namespace

TEST_CASE("threads: one adaptive limit, many sessions, reconfigured all the while", "[threads]") {
  const auto algorithm = GENERATE(hf::limit_algorithm::gradient, hf::limit_algorithm::vegas,
                                  hf::limit_algorithm::aimd);
  const hf::adaptive_limit_options options{.algorithm = algorithm,
                                           .initial_limit = 8,
                                           .min_limit = 2,
                                           .max_limit = most,
                                           .window = 1ms,
                                           .min_samples = 2,
                                           .measure_idle_every = 5ms,
                                           .slow_after = 500us};
  hf::adaptive_limit limit(options);
  tally t;
  unsigned last = 8;  // the listener is called by one thread at a time
  int broken = 0;
  const auto subscription = limit.on_change([&](const hf::limit_change& c) {
    broken += c.from == c.to;
    last = c.to;
  });
  {
    asio::thread_pool pool(thread_count);
    const auto pipe = hf::pipeline().with(hf::timeout{600us}).with(limit);
    const auto session = [&]() -> asio::awaitable<void> {
      const auto call = [&t](hf::call_context& ctx) { return work(t, ctx); };
      for (int i = 0; i < 150; ++i) {
        hf::result<int> r = co_await pipe(call);
        if (r.has_value()) {
          ++t.values;
        } else if (r.error().code() == hf::condition::rejected) {
          ++t.refused;
          co_await hf::sleep_for(200us);
        } else {
          ++t.failed;
        }
      }
    };
    for (int i = 0; i < 40; ++i) {
      asio::co_spawn(pool, session, [](std::exception_ptr e) {
        if (e) std::rethrow_exception(e);
      });
    }
    for (int i = 0; i < 200; ++i) {
      auto other = options;
      other.max_limit = i % 2 == 0 ? most : most / 2;
      limit.reconfigure(other);
      const auto s = limit.snapshot();
      CHECK(s.limit >= 1);
      CHECK(s.limit <= most);
      CHECK_FALSE(hf::pipeline().with(limit).describe().empty());
      std::this_thread::sleep_for(200us);  // spreads the changes over the life of the threads
    }
    pool.join();
  }
  CHECK(broken == 0);
  CHECK(last >= 1);
  CHECK(t.values + t.refused + t.failed == 40 * 150);
  CHECK(t.values > 0);
  CHECK(t.refused > 0);
  CHECK(t.failed > 0);
  CHECK(t.peak <= most);
  CHECK(t.inside == 0);
  CHECK(limit.in_flight() == 0);
  CHECK(limit.snapshot().windows > 10);
  CHECK(static_cast<int>(limit.refused()) == t.refused);
}
