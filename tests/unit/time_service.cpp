// SPDX-License-Identifier: BSL-1.0
// Time as it is: the one real timer behind the wheel. In real time, some milliseconds of it.
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/version.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/detail/place.hpp>
#include <holdfast/time/time_service.hpp>
#include <thread>
#include <vector>

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::affinity;
using hf::time_service;

affinity affinity_of(asio::any_io_executor executor) {
  return hf::detail::place(executor).serialised_by();
}

struct world {
  explicit world(bool serial) {
    if (serial) hf::assume_serial(context);
  }

  asio::io_context context;
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
  time_service& time = time_service::of(context);
  std::vector<int> expired;

  /// Runs the context until so many timers have expired, for ten seconds at most.
  void run_until_expired(std::size_t n) {
    const auto end = hf::clock::now() + 10s;
    while (expired.size() < n && hf::clock::now() < end) context.run_one_for(100ms);
  }
};

struct timer final : hf::timer_entry {
  timer(world& w, int n) : owner(w), number(n) {}
  ~timer() { owner.time.disarm(*this); }

  void on_expiry() noexcept override {
    late = hf::clock::now() - when;
    owner.expired.push_back(number);
  }
  void on_shutdown() noexcept override {}
  void arm(hf::duration d) { owner.time.arm(*this, owner.time.precise_now() + d); }

  world& owner;
  int number;
  hf::duration late = hf::duration::min();
};

}  // namespace

TEST_CASE("time service: knows who serialises the handlers of an executor", "[time_service]") {
  asio::io_context context;
  asio::thread_pool pool(1);
  const auto io = context.get_executor();
  CHECK(affinity_of(io) == affinity::none);
  CHECK(affinity_of(pool.get_executor()) == affinity::none);
  CHECK(affinity_of(asio::make_strand(io)) == affinity::strand);
  CHECK(affinity_of(asio::make_strand(pool.get_executor())) == affinity::strand);
  CHECK(affinity_of(asio::make_strand(asio::any_io_executor(io))) == affinity::strand);
  CHECK_FALSE(time_service::of(context).serial());
  hf::assume_serial(context);
  CHECK(time_service::of(context).serial());
  CHECK(affinity_of(io) == affinity::context);
#if BOOST_VERSION >= 108700
  asio::io_context one_thread{1};
  CHECK(affinity_of(one_thread.get_executor()) == affinity::context);
  asio::io_context two_threads{2};
  CHECK(affinity_of(two_threads.get_executor()) == affinity::none);
#endif
}

TEST_CASE("time service: the cheap time is behind by less than its resolution", "[time_service]") {
  asio::io_context context;
  const auto& time = time_service::of(context);
  CHECK(time.resolution() > 0ns);
  CHECK(time.resolution() <= 20ms);
  int behind = 0;
  constexpr int looks = 50;
  for (int i = 0; i < looks; ++i) {
    const auto before = hf::clock::now();
    const auto cheap = time.now();
    behind += cheap <= before - time.resolution();
    CHECK(cheap <= hf::clock::now());
    std::this_thread::sleep_for(1ms);
  }
  CHECK(behind <= looks / 5);  // a machine may stall
}

TEST_CASE("time service: timers expire in their order, and never early", "[time_service]") {
  world w(GENERATE(false, true));
  timer far(w, 0);
  timer first(w, 1);
  timer second(w, 2);
  timer third(w, 3);
  far.arm(1h);
  second.arm(6ms);
  third.arm(12ms);
  first.arm(1ms);
  timer later(w, 4);
  later.arm(1h);  // disturbs nobody who is earlier
  w.run_until_expired(1);
  timer another(w, 5);
  another.arm(1h);
  w.run_until_expired(3);
  CHECK(w.expired == std::vector{1, 2, 3});
  for (const timer* t : {&first, &second, &third}) CHECK(t->late >= 0ns);
}

TEST_CASE("time service: a timer that is disarmed does not expire", "[time_service]") {
  world w(GENERATE(false, true));
  timer no(w, 1);
  timer yes(w, 2);
  no.arm(1ms);
  yes.arm(3ms);
  w.time.disarm(no);
  CHECK_FALSE(no.linked());
  w.time.disarm(no);  // nothing happens
  w.run_until_expired(1);
  CHECK(w.expired == std::vector{2});
}

TEST_CASE("time service: timers that are not due yet give the context nothing to do",
          "[time_service]") {
  world w(GENERATE(false, true));
  timer a(w, 1);
  timer b(w, 2);
  timer c(w, 3);
  const auto when = w.time.precise_now() + 1h;
  w.time.arm(a, when);
  CHECK(w.context.poll() == 1);  // from outside, the context has to set the alarm
  w.time.arm(b, when);           // which rings then already
  w.time.arm(c, when + 1h);      // and before that
  CHECK(w.context.poll() == 0);
  w.work.reset();
  CHECK(w.context.run() == 0);  // nor do they keep it from returning
  CHECK(w.expired.empty());
}

namespace {

/// Arms a timer when the context goes: after the time service has gone, which it was made before.
class arms_at_shutdown final : public asio::execution_context::service {
 public:
  using key_type = arms_at_shutdown;
  static inline asio::execution_context::id id;

  explicit arms_at_shutdown(asio::execution_context& context) : service(context) {}
  time_service* time = nullptr;
  hf::timer_entry* timer = nullptr;

 private:
  void shutdown() noexcept override {
    if (time) time->arm(*timer, time->precise_now());
  }
};

}  // namespace

TEST_CASE("time service: a timer that is armed while the context goes is let be",
          "[time_service]") {
  const bool serial = GENERATE(false, true);
  int expired = 0;
  struct counting final : hf::timer_entry {
    explicit counting(int& n) : count(n) {}
    void on_expiry() noexcept override { ++count; }
    void on_shutdown() noexcept override {}
    int& count;
  } timer(expired);
  {
    asio::io_context context;
    auto& last = asio::use_service<arms_at_shutdown>(context);
    if (serial) hf::assume_serial(context);
    last.time = &time_service::of(context);
    last.timer = &timer;
  }
  CHECK(expired == 0);
}
