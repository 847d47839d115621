// SPDX-License-Identifier: BSL-1.0
// Real threads and short, real waits: operations that share one limiter are admitted, wait, settle,
// are cancelled, while hints come and the limiter is reconfigured.
#include <array>
#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>
#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

constexpr int thread_count = 4;

std::uint64_t chance() {
  thread_local std::mt19937_64 engine{std::random_device{}()};
  return engine();
}

struct tally {
  std::atomic<int> started{0};
  std::atomic<int> ended{0};
  std::atomic<int> dropped{0};
  std::atomic<int> wrong{0};
  std::array<std::atomic<int>, 16> by_code{};  // 0: values; otherwise `errc`; 15: calls' own
  int count(hf::errc e) const { return by_code[static_cast<std::size_t>(e)].load(); }

  void note(const hf::result<int>& r) {
    if (r.has_value()) {
      ++by_code[0];
    } else if (r.assume_error().code().category() == hf::error_category()) {
      ++by_code[static_cast<std::size_t>(r.assume_error().code().value())];
    } else {
      ++by_code[15];
    }
  }
};

class finish {
 public:
  explicit finish(tally& t) : tally_(&t) { ++t.started; }
  finish(finish&& o) noexcept : tally_(std::exchange(o.tally_, nullptr)) {}
  ~finish() {
    if (tally_) ++tally_->dropped;
  }
  void operator()(const std::exception_ptr& e) {
    tally& t = *std::exchange(tally_, nullptr);
    ++t.ended;
    if (!e) return;
    try {
      std::rethrow_exception(e);
    } catch (const boost::system::system_error& error) {
      if (error.code() != asio::error::operation_aborted) ++t.wrong;
    } catch (...) {
      ++t.wrong;
    }
  }

 private:
  tally* tally_;
};

/// Costs something else than was said.
asio::awaitable<int> settling(hf::call_context& ctx) {
  if (chance() % 2) co_await hf::sleep_for(std::chrono::microseconds(chance() % 500), ctx.token());
  ctx.settle(chance() % 4);
  if (chance() % 16 == 0) {
    throw boost::system::system_error(make_error_code(boost::system::errc::connection_reset));
  }
  co_return 1;
}

asio::awaitable<int> opaque() {
  asio::steady_timer timer(co_await asio::this_coro::executor,
                           std::chrono::microseconds(chance() % 500));
  co_await timer.async_wait(asio::deferred);
  co_return 1;
}

hf::classification judge(const hf::failure& f) {
  if (f.code() == boost::system::errc::connection_reset && chance() % 8 == 0) {
    return {hf::verdict::throttled, 1ms};
  }
  return hf::verdict::failure;
}

asio::awaitable<void> session(const hf::rate_limiter& limiter, tally& t, int operations) {
  const auto guard = hf::pipeline().with(limiter).classify(judge);
  const auto timed = hf::pipeline().with(hf::timeout{300us}).with(limiter).with(hf::timeout{3ms});
  for (int i = 0; i < operations; ++i) {
    const auto cost = static_cast<std::uint32_t>(chance() % 4);
    if (chance() % 3 == 0) {
      const auto r = co_await timed(opaque, {.cost = cost});
      t.note(r);
    } else if (chance() % 2 == 0) {
      const auto r = co_await timed(settling, {.cost = cost});
      t.note(r);
    } else {
      const auto r = co_await guard(settling, {.cost = cost});
      t.note(r);
    }
  }
}

/// A session that its caller cancels at some moment, on its strand as Asio demands.
struct cancelled_session : std::enable_shared_from_this<cancelled_session> {
  explicit cancelled_session(const asio::any_io_executor& executor)
      : strand(asio::make_strand(executor)), timer(strand) {}

  void start(const hf::rate_limiter& limiter, tally& t) {
    auto end = [self = shared_from_this(), f = finish(t)](const std::exception_ptr& e) mutable {
      f(e);
    };
    asio::co_spawn(strand, session(limiter, t, 1000),
                   asio::bind_cancellation_slot(signal.slot(),
                                                asio::bind_executor(strand, std::move(end))));
    timer.expires_after(std::chrono::microseconds(chance() % 10'000));
    timer.async_wait([self = shared_from_this()](boost::system::error_code) {
      self->signal.emit(asio::cancellation_type::terminal);
    });
  }

  asio::any_io_executor strand;
  asio::steady_timer timer;
  asio::cancellation_signal signal;
};

/// Changes the options, and gives hints, until it is told to stop.
class meddler {
 public:
  meddler(hf::rate_limiter limiter, hf::rate_limiter_options base)
      : thread_([this, l = std::move(limiter), base](const std::stop_token& stop) mutable {
          while (!stop.stop_requested()) {
            auto o = base;
            o.permits = static_cast<std::uint32_t>(base.permits / 2 + chance() % base.permits);
            l.reconfigure(o);
            if (chance() % 8 == 0) l.hint(chance() % 20, 500us);
            seen_ += l.snapshot().available;
            std::this_thread::sleep_for(200us);
          }
        }) {}

 private:
  std::uint64_t seen_ = 0;
  std::jthread thread_;
};

}  // namespace

TEST_CASE("threads: operations that share a rate limiter", "[threads]") {
  const auto algorithm =
      GENERATE(hf::limiter_algorithm::gcra, hf::limiter_algorithm::sliding_window);
  const hf::rate_limiter_options o{.name = "shared",
                                   .permits = 400,
                                   .period = 20ms,
                                   .algorithm = algorithm,
                                   .max_wait = 2ms,
                                   .max_waiting = 16,
                                   .max_hint = 2ms};
  const hf::rate_limiter limiter(o);
  tally t;
  {
    const meddler changes(limiter, o);
    asio::thread_pool pool(thread_count);
    for (int i = 0; i < 20; ++i) {
      asio::co_spawn(pool, session(limiter, t, 60), finish(t));
      asio::co_spawn(asio::make_strand(pool), session(limiter, t, 60), finish(t));
      std::make_shared<cancelled_session>(pool.get_executor())->start(limiter, t);
    }
    pool.join();
  }
  CHECK(t.ended == t.started);
  CHECK(t.dropped == 0);
  CHECK(t.wrong == 0);
  CHECK(limiter.snapshot().waiting == 0);
  // The test is worth nothing unless calls were admitted, and refused.
  CHECK(t.by_code[0] > 0);
  CHECK(t.count(hf::errc::rate_limited) > 0);
}

TEST_CASE("threads: the context is destroyed while operations wait for permits", "[threads]") {
  for (int round = 0; round < 10; ++round) {
    const hf::rate_limiter limiter({.permits = 100, .period = 1s, .burst = 5, .max_wait = 5s});
    tally t;
    {
      asio::io_context ctx;
      for (int i = 0; i < 20; ++i) {
        asio::co_spawn(ctx, session(limiter, t, 1000), finish(t));
        asio::co_spawn(asio::make_strand(ctx), session(limiter, t, 1000), finish(t));
      }
      std::vector<std::thread> threads;
      for (int i = 0; i < thread_count; ++i) threads.emplace_back([&ctx] { ctx.run(); });
      std::this_thread::sleep_for(3ms);
      ctx.stop();
      for (auto& thread : threads) thread.join();
    }
    CHECK(t.ended + t.dropped == t.started);
    CHECK(limiter.snapshot().waiting == 0);
  }
}

TEST_CASE("threads: a rate holds for all threads together, in real time", "[threads]") {
  // One stretch of time, measured from outside: a margin of error can only make it longer.
  const auto burst = GENERATE(10u, 1000u);  // the second guesses where its schedule begins
  const hf::rate_limiter limiter({.permits = 10'000, .period = 1s, .burst = burst});
  REQUIRE(limiter.core()->plan().guess_start == (burst == 1000));
  std::atomic<std::uint64_t> admitted{0};
  const auto begun = hf::clock::now();
  asio::thread_pool pool(thread_count);
  const auto loop = [&]() -> asio::awaitable<void> {
    const auto guard = hf::pipeline().with(limiter);
    const auto ready = []() -> asio::awaitable<int> { co_return 1; };
    while (hf::clock::now() - begun < 100ms) {
      const auto r = co_await guard(ready);
      if (r.has_value()) ++admitted;
    }
  };
  for (int i = 0; i < thread_count; ++i) {
    asio::co_spawn(pool, loop, asio::detached);
  }
  pool.join();
  const auto took = hf::clock::now() - begun;
  const auto may = burst + static_cast<std::uint64_t>(took / 100us);
  CHECK(admitted <= may);
  CHECK(admitted > burst);
}
