// SPDX-License-Identifier: BSL-1.0
// Real threads and real, short sleeps: four threads run hedged operations that share one hedge,
// with and without a policy below it, while others cancel them.
#include <array>
#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>
#include <memory>
#include <random>

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

namespace {

hf::duration short_while() {
  thread_local std::mt19937_64 engine{std::random_device{}()};
  return std::chrono::microseconds(engine() % 2000);
}

struct tally {
  std::atomic<int> ended{0};
  std::atomic<int> values{0};
  std::atomic<int> inside{0};  // attempts of all operations
  std::atomic<int> shared{0};  // operations two of whose attempts ran at the same time
};

/// Not thread-safe on purpose: attempts of one operation must not run at the same time.
struct careless_call {
  tally* t;
  std::shared_ptr<std::atomic<int>> running = std::make_shared<std::atomic<int>>(0);

  asio::awaitable<int> operator()(hf::call_context& ctx) const {
    enter();
    asio::steady_timer timer(co_await asio::this_coro::executor, short_while());
    ++t->inside;
    const auto waited = co_await timer.async_wait(asio::as_tuple(ctx.token()));
    const boost::system::error_code ec = std::get<0>(waited);
    --t->inside;
    enter();
    if (ec) throw boost::system::system_error(ec);
    co_return 1;
  }
  void enter() const {
    if (running->fetch_add(1) != 0) ++t->shared;
    running->fetch_sub(1);
  }
};

}  // namespace

TEST_CASE("hedges on four threads, without strands of the user's", "[stress][threads]") {
  constexpr int operations = 1500;
  const bool nested = GENERATE(false, true);
  tally t;
  const hf::hedge hedge(
      {.delay = 500us, .percentile = 0.7, .minimum_samples = 50, .max_hedges = 2});
  const hf::bulkhead bulkhead({.limit = 1000});
  {
    asio::thread_pool pool(4);
    const auto plain = hf::pipeline().with(hedge).with(hf::timeout{50ms});
    const auto deep = hf::pipeline().with(bulkhead).with(hedge).with(hf::timeout{50ms});
    const auto client = [&](int number) -> asio::awaitable<void> {
      co_await asio::this_coro::throw_if_cancelled(false);
      for (int i = 0; i < operations / 20; ++i) {
        const careless_call call{&t};
        if (nested) {
          const auto r = co_await deep(call);
          if (r.has_value()) ++t.values;
        } else {
          const auto r = co_await plain(call);
          if (r.has_value()) ++t.values;
        }
        ++t.ended;
        if (number % 4 == 0) co_await asio::this_coro::reset_cancellation_state();
      }
    };
    std::array<std::pair<asio::strand<asio::thread_pool::executor_type>,
                         std::unique_ptr<asio::cancellation_signal>>, 5>
        signals{{{asio::make_strand(pool), std::make_unique<asio::cancellation_signal>()},
                 {asio::make_strand(pool), std::make_unique<asio::cancellation_signal>()},
                 {asio::make_strand(pool), std::make_unique<asio::cancellation_signal>()},
                 {asio::make_strand(pool), std::make_unique<asio::cancellation_signal>()},
                 {asio::make_strand(pool), std::make_unique<asio::cancellation_signal>()}}};
    for (int n = 0; n < 20; ++n) {
      if (n % 4 == 0) {
        // On a strand, where it may be cancelled.
        auto& [strand, signal] = signals[static_cast<std::size_t>(n / 4)];
        asio::co_spawn(strand, client(n),
                       asio::bind_cancellation_slot(signal->slot(), [](std::exception_ptr) {}));
      } else {
        asio::co_spawn(pool, client(n), [](std::exception_ptr) {});
      }
    }
    for (int i = 0; i < 20; ++i) {
      std::this_thread::sleep_for(2ms);
      for (auto& [strand, signal] : signals) {
        asio::post(strand, [&s = *signal] { s.emit(asio::cancellation_type::terminal); });
      }
    }
    pool.join();
  }
  CHECK(t.ended == operations);
  CHECK(t.values > operations / 2);
  CHECK(t.inside == 0);
  CHECK(t.shared == 0);
  CHECK(bulkhead.in_use() == 0);
  CHECK(hedge.snapshot().operations == operations);
}
