// SPDX-License-Identifier: BSL-1.0
// Real threads and real, short sleeps: virtual time cannot show a race. Several threads run
// operations that share one breaker and one bulkhead, while timeouts fire as calls complete.
#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <catch2/catch_all.hpp>
#include <fmt/format.h>
#include <holdfast/resilient.hpp>
#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;
using boost::system::error_code;

constexpr int thread_count = 4;

/// Shared by all operations of one test.
struct shop {
  hf::circuit_breaker breaker{{.name = "shared",
                               .consecutive_failures = 12,
                               .open_for = 1ms,
                               .half_open_probes = 2,
                               .probe_lease = 50ms}};
  hf::bulkhead bulkhead{{.name = "shared", .limit = 8, .queue = 64, .max_queue_time = 20ms}};

  std::atomic<int> started{0};
  std::atomic<int> ended{0};
  std::atomic<int> dropped{0};
  std::atomic<int> twice{0};
  std::atomic<int> inside{0};  // calls between their first and their last line
  std::atomic<int> peak{0};
  std::atomic<int> wrong{0};
  std::array<std::atomic<int>, 16> by_code{};  // 0: values; otherwise `errc`; 15: calls' own
  int count(hf::errc e) const { return by_code[static_cast<std::size_t>(e)].load(); }
};

std::uint64_t chance() {
  thread_local std::mt19937_64 engine{std::random_device{}()};
  return engine();
}

hf::duration short_while() { return std::chrono::microseconds(chance() % 3000); }

/// Counts the calls at work, and that never more are than the bulkhead allows.
class at_work {
 public:
  explicit at_work(shop& s) : shop_(s) {
    const int now = ++s.inside;
    int seen = s.peak.load();
    while (seen < now && !s.peak.compare_exchange_weak(seen, now)) {
    }
  }
  at_work(const at_work&) = delete;
  ~at_work() { --shop_.inside; }

 private:
  shop& shop_;
};

void maybe_fail() {
  if (chance() % 8 == 0) {
    throw boost::system::system_error(
        make_error_code(boost::system::errc::connection_reset));
  }
}

/// An opaque awaitable, on Asio's own timer.
struct opaque_call {
  shop* s;
  asio::awaitable<int> operator()() const {
    const at_work guard(*s);
    asio::steady_timer timer(co_await asio::this_coro::executor, short_while());
    co_await timer.async_wait(asio::deferred);
    maybe_fail();
    co_return 1;
  }
};

struct reader_call {
  shop* s;
  asio::awaitable<int> operator()(const hf::call_context& ctx) const {
    const at_work guard(*s);
    co_await hf::sleep_for(short_while());
    maybe_fail();
    co_return ctx.attempt() > 0 ? 1 : 2;
  }
};

struct context_call {
  shop* s;
  asio::awaitable<int> operator()(hf::call_context& ctx) const {
    const at_work guard(*s);
    co_await hf::sleep_for(short_while(), ctx.token());
    maybe_fail();
    co_return 1;
  }
};

/// Two operations one after another, and a nested pipeline.
struct nested_call {
  shop* s;
  asio::awaitable<int> operator()(hf::call_context& ctx) const {
    const at_work guard(*s);
    const auto inner = hf::pipeline().with(hf::timeout{.after = 2ms});
    const auto pause = [](hf::call_context& c) -> asio::awaitable<int> {
      co_await hf::sleep_for(short_while(), c.token());
      co_return 1;
    };
    hf::result<int> r = co_await inner(pause, ctx);
    co_await hf::sleep_for(short_while() / 2, ctx.token());
    co_return r.value();
  }
};

struct token_call {
  shop* s;
  template <class Token>
  auto operator()(Token&& token) const {
    return hf::sleep_for(short_while(), std::forward<Token>(token));
  }
};

/// Answers at once.
struct ready_call {
  shop* s;
  asio::awaitable<int> operator()() const { co_return 1; }
};

void note(shop& s, bool has_value, const hf::failure* f) {
  if (has_value) {
    ++s.by_code[0];
  } else if (f->code().category() == hf::error_category()) {
    ++s.by_code[static_cast<std::size_t>(f->code().value())];
  } else {
    ++s.by_code[15];
  }
}

template <class Pipe, class Call>
asio::awaitable<void> use(const Pipe& pipe, Call call, shop& s) {
  auto r = co_await pipe(std::move(call));
  note(s, r.has_value(), r.has_error() ? &r.assume_error() : nullptr);
}

auto stack_of(shop& s) {
  return hf::pipeline()
      .with(hf::timeout{.after = 1500us})
      .with(hf::retry{.max_attempts = 3, .wait = {.base = 300us, .cap = 1ms}})
      .with(s.breaker)
      .with(s.bulkhead)
      .with(hf::timeout{.after = 6ms});
}

auto with_fallback(shop& s) {
  return stack_of(s).fallback(opaque_call{&s}).fallback(9);
}

auto detaching(shop& s) {
  return hf::pipeline()
      .with(hf::timeout{.after = 1500us, .mode = hf::timeout_mode::detach, .max_detached = 10'000})
      .with(s.breaker)
      .with(s.bulkhead);
}

/// The end of one chain of operations: called once, or dropped once.
class finish {
 public:
  explicit finish(shop& s) : shop_(&s), called_(std::make_unique<bool>(false)) { ++s.started; }
  finish(finish&&) = default;
  ~finish() {
    if (called_ && !*called_) ++shop_->dropped;
  }
  void operator()(const std::exception_ptr& e) {
    if (std::exchange(*called_, true)) ++shop_->twice;
    ++shop_->ended;
    if (e) {
      try {
        std::rethrow_exception(e);
      } catch (const boost::system::system_error& error) {
        // The caller, cancelled between two operations.
        if (error.code() != boost::asio::error::operation_aborted) ++shop_->wrong;
      } catch (...) {
        ++shop_->wrong;
      }
    }
  }

 private:
  shop* shop_;
  std::unique_ptr<bool> called_;
};

asio::awaitable<void> session(shop& s, int operations) {
  const auto plain = stack_of(s);
  const auto falling_back = with_fallback(s);
  const auto detach = detaching(s);
  for (int i = 0; i < operations; ++i) {
    switch (chance() % 10) {
      case 0: co_await use(plain, opaque_call{&s}, s); break;
      case 1: co_await use(plain, context_call{&s}, s); break;
      case 2: co_await use(plain, token_call{&s}, s); break;
      case 3: co_await use(plain, reader_call{&s}, s); break;
      case 4: co_await use(plain, nested_call{&s}, s); break;
      case 5: co_await use(falling_back, opaque_call{&s}, s); break;
      case 6: co_await use(falling_back, context_call{&s}, s); break;
      case 7: co_await use(plain, ready_call{&s}, s); break;
      case 8: co_await use(detach, opaque_call{&s}, s); break;
      case 9: co_await use(detach, reader_call{&s}, s); break;
    }
  }
}

/// A session that its caller cancels at some moment, on its strand as Asio demands.
struct cancelled_session : std::enable_shared_from_this<cancelled_session> {
  explicit cancelled_session(const asio::any_io_executor& executor)
      : strand(asio::make_strand(executor)), timer(strand) {}

  void start(shop& s, int operations) {
    auto end = [self = shared_from_this(), f = finish(s)](std::exception_ptr e) mutable { f(e); };
    asio::co_spawn(strand, session(s, operations),
                   asio::bind_cancellation_slot(signal.slot(),
                                                asio::bind_executor(strand, std::move(end))));
    timer.expires_after(short_while() * 4);
    timer.async_wait([self = shared_from_this()](error_code) {
      self->signal.emit(asio::cancellation_type::terminal);
    });
  }

  asio::any_io_executor strand;
  asio::steady_timer timer;
  asio::cancellation_signal signal;
};

void check_at_rest(const shop& s) {
  CHECK(s.ended == s.started);
  CHECK(s.dropped == 0);
  CHECK(s.twice == 0);
  CHECK(s.wrong == 0);
  CHECK(s.inside == 0);
  CHECK(s.bulkhead.in_use() == 0);
  CHECK(s.bulkhead.waiting() == 0);
  CHECK(s.breaker.snapshot().probes_in_flight == 0);
  // The test is worth nothing unless calls succeeded and timeouts fired.
  std::string counts;
  for (const auto& n : s.by_code) counts += fmt::format(" {}", n.load());
  INFO("operations by errc:" << counts);
  CHECK(s.count(hf::errc{}) > 0);
  CHECK(s.count(hf::errc::attempt_timeout) + s.count(hf::errc::total_timeout) > 0);
}

enum class sessions { bare, on_strands, cancelled };

void start_sessions(shop& s, const asio::any_io_executor& executor, sessions kind, int count,
                    int operations) {
  for (int i = 0; i < count; ++i) {
    switch (kind) {
      case sessions::bare: asio::co_spawn(executor, session(s, operations), finish(s)); break;
      case sessions::on_strands:
        asio::co_spawn(asio::make_strand(executor), session(s, operations), finish(s));
        break;
      case sessions::cancelled:
        std::make_shared<cancelled_session>(executor)->start(s, operations);
        break;
    }
  }
}

void on_io_context(shop& s, sessions kind, int count, int operations) {
  {
    asio::io_context ctx;
    start_sessions(s, ctx.get_executor(), kind, count, operations);
    std::vector<std::thread> threads;
    for (int i = 0; i < thread_count; ++i) threads.emplace_back([&ctx] { ctx.run(); });
    for (auto& t : threads) t.join();
  }
}

void on_thread_pool(shop& s, sessions kind, int count, int operations) {
  {
    asio::thread_pool pool(thread_count);
    start_sessions(s, pool.get_executor(), kind, count, operations);
    pool.join();
  }
}

}  // namespace

TEST_CASE("threads: io_context, four threads, no strand", "[threads]") {
  shop s;
  on_io_context(s, sessions::bare, 40, 60);
  check_at_rest(s);
}

TEST_CASE("threads: thread_pool, no strand", "[threads]") {
  shop s;
  on_thread_pool(s, sessions::bare, 40, 60);
  check_at_rest(s);
}

TEST_CASE("threads: io_context, four threads, a strand for each session", "[threads]") {
  shop s;
  on_io_context(s, sessions::on_strands, 40, 60);
  check_at_rest(s);
}

TEST_CASE("threads: thread_pool, a strand for each session", "[threads]") {
  shop s;
  on_thread_pool(s, sessions::on_strands, 40, 60);
  check_at_rest(s);
}

TEST_CASE("threads: callers cancel", "[threads]") {
  shop s;
  for (int round = 0; round < 15; ++round) {
    on_io_context(s, sessions::cancelled, 40, 20);
    on_thread_pool(s, sessions::cancelled, 40, 20);
  }
  check_at_rest(s);
  CHECK(s.count(hf::errc::cancelled) > 0);
}

TEST_CASE("threads: the bulkhead's limit holds", "[threads]") {
  // No timeout detaches here, so whoever is inside holds a permit.
  shop s;
  asio::thread_pool pool(thread_count);
  const auto guarded = hf::pipeline().with(hf::timeout{.after = 1ms}).with(s.bulkhead);
  const auto loop = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < 60; ++i) {
      co_await use(guarded, opaque_call{&s}, s);
      co_await use(guarded, context_call{&s}, s);
    }
  };
  for (int i = 0; i < 40; ++i) asio::co_spawn(pool, loop(), finish(s));
  pool.join();
  check_at_rest(s);
  CHECK(s.peak <= 8);
  CHECK(s.peak > 1);
}

TEST_CASE("threads: the context is destroyed with operations in flight", "[threads]") {
  for (int round = 0; round < 20; ++round) {
    shop s;
    {
      asio::io_context ctx;
      start_sessions(s, ctx.get_executor(), sessions::bare, 20, 1000);
      start_sessions(s, ctx.get_executor(), sessions::on_strands, 20, 1000);
      std::vector<std::thread> threads;
      for (int i = 0; i < thread_count; ++i) threads.emplace_back([&ctx] { ctx.run(); });
      std::this_thread::sleep_for(short_while() * 3);
      ctx.stop();
      for (auto& t : threads) t.join();
    }
    CHECK(s.ended + s.dropped == s.started);
    CHECK(s.inside == 0);
    CHECK(s.bulkhead.in_use() == 0);
    CHECK(s.bulkhead.waiting() == 0);
    CHECK(s.breaker.snapshot(hf::time_point::max()).probes_in_flight == 0);
  }
}
