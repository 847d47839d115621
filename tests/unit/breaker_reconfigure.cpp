// SPDX-License-Identifier: BSL-1.0
// Options that are changed while calls run.
#include <holdfast/invalid_options.hpp>
#include <random>
#include <thread>

#include "../support/breaker_calls.hpp"

using namespace test;

TEST_CASE("reconfigure: what is invalid changes nothing", "[breaker]") {
  hf::circuit_breaker b({.name = "x", .consecutive_failures = 2});
  CHECK_THROWS_AS(b.reconfigure({.name = "x", .failure_rate = 2.0, .open_for = 0s}),
                  hf::invalid_options);
  CHECK_THROWS_WITH(b.reconfigure({.name = "y"}),
                    "circuit breaker 'x': name = 'y': cannot be changed");
  calls(2, *b.core(), verdict::failure, at(0s));
  CHECK(b.state() == breaker_state::open);
}

TEST_CASE("reconfigure: the rules are new, the counts stay", "[breaker]") {
  breaker_core b({.consecutive_failures = 5, .failure_rate = 0.9, .minimum_calls = 10});
  for (int i = 0; i < 4; ++i) {
    call(b, verdict::success, at(0s));
    call(b, verdict::failure, at(0s));
  }
  const auto running = enter(b, at(0s));
  b.reconfigure({.consecutive_failures = 3, .failure_rate = 0.5, .minimum_calls = 9}, at(1s));
  CHECK(b.snapshot(at(1s)).calls_in_window == 8);
  CHECK(b.snapshot(at(1s)).bad_in_window == 4);
  CHECK(b.snapshot(at(1s)).consecutive_failures == 1);
  CHECK(b.state() == breaker_state::closed);  // judged with the next call
  b.leave(running, verdict::failure, at(1s));  // which may be one of before: 5 of 9
  CHECK(b.state() == breaker_state::open);
}

TEST_CASE("reconfigure: another window counts what the old one held", "[breaker]") {
  const hf::circuit_breaker_options seconds{
      .consecutive_failures = 0, .failure_rate = 0.9, .window = 10s, .minimum_calls = 100};
  auto minutes = seconds;
  minutes.window = 10min;
  auto last = seconds;
  last.window_calls = 100;
  auto few = last;
  few.window_calls = 5;
  few.minimum_calls = 5;
  const std::vector all{seconds, minutes, last};
  const auto& from = all[GENERATE(0u, 1u, 2u)];
  const auto& to = all[GENERATE(0u, 1u, 2u)];
  breaker_core b(from, at(0s));
  calls(7, b, verdict::success, at(0s));
  calls(4, b, verdict::failure, at(5s));
  calls(2, b, verdict::slow, at(5s));
  b.reconfigure(to, at(6s));
  auto s = b.snapshot(at(6s));
  CHECK(s.calls_in_window == 13);
  CHECK(s.failed_in_window == 4);
  CHECK(s.slow_in_window == 2);
  calls(1, b, verdict::success, at(7s));
  CHECK(b.snapshot(at(7s)).calls_in_window == 14);
  if (to.window_calls == 0) CHECK(b.snapshot(at(6s + to.window)).calls_in_window <= 1);
  b.reconfigure(few, at(7s));
  CHECK(b.snapshot(at(7s)).calls_in_window == 5);
  b.reset(at(8s));
  CHECK(b.snapshot(at(8s)).calls_in_window == 0);
}

TEST_CASE("reconfigure: an open circuit stays open until its time, probes keep theirs",
          "[breaker]") {
  breaker_core b({.consecutive_failures = 1, .open_for = 10s, .half_open_probes = 2});
  call(b, verdict::failure, at(0s));
  b.reconfigure({.consecutive_failures = 1,
                 .open_for = 100s,
                 .half_open_probes = 1,
                 .successes_to_close = 2},
                at(1s));
  CHECK(b.remaining_open(at(1s)) == 9s);
  const auto probe = enter(b, at(10s));
  b.reconfigure({.consecutive_failures = 1, .open_for = 50s, .half_open_probes = 2}, at(11s));
  CHECK(b.snapshot(at(11s)).probes_in_flight == 1);
  const auto second = enter(b, at(11s));
  b.leave(probe, verdict::failure, at(12s));
  CHECK(b.remaining_open(at(12s)) == 50s);
  b.leave(second, verdict::success, at(12s));
  CHECK(b.state() == breaker_state::open);
}

TEST_CASE("reconfigure: a recovery whose ramp is taken away or shortened ends", "[breaker]") {
  const bool away = GENERATE(true, false);
  const verdict v = GENERATE(verdict::success, verdict::failure);
  const auto with = [](std::vector<hf::recovery_step> steps) {
    return hf::circuit_breaker_options{.consecutive_failures = 1,
                                       .open_for = 10s,
                                       .recovery = hf::recovery_ramp{.steps = std::move(steps)}};
  };
  breaker_core b(with({{.share = 1, .minimum_calls = 1, .at_least = 0s}, {.share = 1}}));
  call(b, verdict::failure, at(0s));
  call(b, verdict::success, at(10s));
  call(b, verdict::success, at(10s));
  REQUIRE(b.snapshot(at(10s)).recovery_step == 2);
  auto without = with({{.share = 0.5}});
  if (away) without.recovery.reset();
  b.reconfigure(without, at(11s));
  CHECK(b.snapshot(at(11s)).share == 1.0);
  CHECK(call(b, v, at(11s)));
  CHECK(b.state() == (v == verdict::success ? breaker_state::closed : breaker_state::open));
}

TEST_CASE("reconfigure: the limit for slow calls comes, changes and goes", "[breaker]") {
  const auto with = [](hf::duration slow_after) {
    return hf::circuit_breaker_options{.consecutive_failures = 0,
                                       .slow_rate = 0.5,
                                       .slow_after = slow_after,
                                       .window = 100s,
                                       .minimum_calls = 100};
  };
  breaker_core b(with(0s));
  const auto unmeasured = enter(b, at(0s));
  b.reconfigure(with(8s), at(0s));
  const auto measured = enter(b, at(0s));
  CHECK(b.snapshot(at(20s)).hanging == 1);
  b.reconfigure(with(16s), at(20s));  // who is in flight is forgotten, but not that it was slow
  CHECK(b.snapshot(at(40s)).hanging == 0);
  b.leave(unmeasured, verdict::success, at(40s));
  b.leave(measured, verdict::success, at(40s));
  CHECK(b.snapshot(at(40s)).slow_in_window == 1);
  const auto third = enter(b, at(40s));
  CHECK(b.snapshot(at(60s)).hanging == 1);
  b.reconfigure(with(0s), at(60s));
  CHECK(b.snapshot(at(60s)).hanging == 0);
  b.leave(third, verdict::success, at(70s));
  CHECK(b.snapshot(at(70s)).slow_in_window == 1);
  CHECK(b.snapshot(at(70s)).calls_in_window == 3);
}

TEST_CASE("reconfigure: a call whose time was not measured is not slow", "[breaker]") {
  const bool observed = GENERATE(false, true);
  const auto v = GENERATE(verdict::success, verdict::failure);
  breaker_core b({.slow_rate = 0.5, .window = 100s, .minimum_calls = 100});
  if (observed) b.observe(at(0s));
  const auto unmeasured = enter(b, at(0s));
  b.reconfigure({.slow_rate = 0.5, .slow_after = 1s, .window = 100s, .minimum_calls = 100}, at(0s));
  b.leave(unmeasured, v, at(10s));
  CHECK(b.snapshot(at(10s)).calls_in_window == 1);
  CHECK(b.snapshot(at(10s)).slow_in_window == 0);
}

TEST_CASE("reconfigure: a shorter limit counts nobody as hanging who is not", "[breaker]") {
  const auto with = [](hf::duration slow_after, unsigned minimum = 100) {
    return hf::circuit_breaker_options{
        .slow_rate = 0.5, .slow_after = slow_after, .window = 100s, .minimum_calls = minimum};
  };
  breaker_core b(with(16s));
  const auto running = enter(b, at(0s));
  SECTION("and another option forgets nobody") {
    b.reconfigure(with(16s, 50), at(1s));
    CHECK(b.snapshot(at(30s)).hanging == 1);
  }
  SECTION("where it is another one") {
    b.reconfigure(with(8s), at(1s));
    CHECK(b.snapshot(at(1s)).hanging == 0);
  }
  b.leave(running, verdict::neutral, at(30s));
}

TEST_CASE("reconfigure: good calls are judged by the new rate at once", "[breaker]") {
  const auto with = [](double rate) {
    return hf::circuit_breaker_options{
        .consecutive_failures = 0, .failure_rate = rate, .window = 100s, .minimum_calls = 10};
  };
  breaker_core b(with(0.6));
  CHECK(calls(8, b, verdict::failure, at(0s)) == 8);
  b.reconfigure(with(0.9), at(0s));
  CHECK(calls(3, b, verdict::success, at(0s)) == 3);  // 8 of 11: no rate is reached
  b.reconfigure(with(0.5), at(0s));
  CHECK(call(b, verdict::success, at(0s)));
  CHECK(b.state() == breaker_state::open);
}

TEST_CASE("reconfigure: the last n calls stay the last n", "[breaker]") {
  breaker_core b({.failure_rate = 1, .window_calls = 5, .minimum_calls = 5});
  CHECK(calls(5, b, verdict::success, at(0s)) == 5);
  b.reconfigure({.failure_rate = 0.9, .window_calls = 5, .minimum_calls = 5}, at(0s));
  CHECK(calls(3, b, verdict::success, at(0s)) == 3);
  CHECK(b.snapshot(at(0s)).calls_in_window == 5);
}

TEST_CASE("reconfigure: a window of nearly the same length counts nothing twice", "[breaker]") {
  breaker_core b({.failure_rate = 1, .window = 10s});
  CHECK(calls(3, b, verdict::success, at(0s)) == 3);
  b.reconfigure({.failure_rate = 1, .window = 10'010ms}, at(0s));
  CHECK(b.snapshot(at(0s)).calls_in_window == 3);
}

TEST_CASE("reconfigure: under load, on threads", "[breaker][threads]") {
  // Real threads.
  const auto options = [](std::uint32_t n) {
    hf::circuit_breaker_options o{.name = "x",
                                  .consecutive_failures = n % 5,
                                  .failure_rate = 0.3,
                                  .slow_after = n % 3 * 100ns,
                                  .window = n % 2 ? 10us : 50us,
                                  .window_calls = n % 4 == 0 ? 20u : 0u,
                                  .minimum_calls = 4,
                                  .open_for = 100ns,
                                  .half_open_probes = 1 + n % 3};
    if (n % 7 == 0) o.opens_if = [](const hf::breaker_window& w) { return w.slow > w.calls / 2; };
    if (n % 2 == 0) o.recovery = hf::recovery_ramp{.steps = {{.share = 0.5, .at_least = 0s}}};
    return o;
  };
  hf::circuit_breaker breaker(options(1));
  auto& b = *breaker.core();
  std::atomic<std::int64_t> time{1'000'000};
  std::atomic<bool> done{false};
  std::atomic<int> admitted{0};
  {
    std::vector<std::jthread> threads;
    for (unsigned t = 0; t < 3; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937 random(t);
        for (int i = 0; i < 20'000; ++i) {
          breaker_permit permit;
          if (b.try_enter(permit, hf::time_point(hf::duration(time.fetch_add(7))))) {
            ++admitted;
            const hf::time_point later(hf::duration(time.fetch_add(random() % 200)));
            b.leave(permit, random() % 8 ? verdict::success : verdict::failure, later);
          }
        }
        done = true;
      });
    }
    threads.emplace_back([&] {
      for (std::uint32_t n = 2; !done; ++n) {
        const hf::time_point now(hf::duration(time.load()));
        breaker.reconfigure(options(n % 50), now);
        (void)breaker.snapshot(now);
        std::string text;
        b.describe(text);
        std::this_thread::yield();
      }
    });
  }
  CHECK(admitted > 1000);
  const hf::time_point end(hf::duration(time + 1'000'000));
  breaker.reset(end);
  breaker.reconfigure(options(1), end);
  CHECK(breaker.snapshot(end).hanging == 0);
  CHECK(breaker.snapshot(end).probes_in_flight == 0);
  CHECK(breaker.snapshot(end).calls_in_window == 0);
  CHECK(call(b, verdict::success, end));
}
