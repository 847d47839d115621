// SPDX-License-Identifier: BSL-1.0
// What docs/testing.md shows.
#include "scenario.hpp"

#include <boost/asio/detached.hpp>
#include <boost/asio/error.hpp>
#include <holdfast/testing/call_series.hpp>
#include <holdfast/testing/call_watch.hpp>
#include <holdfast/testing/latency_histogram.hpp>
#include <holdfast/testing/load.hpp>
#include <holdfast/testing/seed.hpp>
#include <holdfast/testing/service.hpp>
#include <string>
#include <tuple>
#include <vector>

// [a_test]
TEST_CASE("the circuit is tried again after half an hour") {
  asio::io_context ctx{1};
  hf::testing::virtual_time time{ctx};

  auto dial = []() -> asio::awaitable<hf::result<int>> {
    co_return hf::failure(asio::error::connection_refused);
  };
  hf::circuit_breaker breaker{{.name = "db", .consecutive_failures = 1, .open_for = 30min}};
  auto guard = hf::pipeline().with(breaker);

  auto scenario = [&]() -> asio::awaitable<void> {
    std::ignore = co_await guard(dial);
    CHECK(breaker.remaining_open(time.now()) == 30min);  // the breaker's "now" is ours
    co_await hf::sleep_for(30min);
    CHECK(breaker.remaining_open(time.now()) == 0s);
  };
  std::exception_ptr thrown;
  asio::co_spawn(ctx, scenario, [&](std::exception_ptr e) { thrown = e; });
  time.run();
  if (thrown) std::rethrow_exception(thrown);
}
// [/a_test]

TEST_CASE("testing: step by step") {
  // [steps]
  asio::io_context ctx{1};
  hf::testing::virtual_time time{ctx};

  std::vector<std::string> log;
  auto worker = [&]() -> asio::awaitable<void> {
    log.push_back("begun");
    co_await hf::sleep_for(10s);
    log.push_back("half");
    co_await hf::sleep_for(10s);
    log.push_back("done");
  };
  asio::co_spawn(ctx, worker, asio::detached);

  time.poll();  // what is ready now; no time passes
  CHECK(log.back() == "begun");
  CHECK(time.timers() == 1);

  time.run_for(9s);  // nine seconds pass
  CHECK(log.back() == "begun");

  CHECK(time.step());  // to the next timer
  CHECK(log.back() == "half");

  time.run();  // until nothing is left to do
  CHECK(log.back() == "done");
  // [/steps]
}

namespace {

// [trace]
/// When the attempts of a retry with jitter began, from a seed.
std::vector<hf::duration> trace(std::uint64_t seed) {
  asio::io_context ctx{1};
  hf::testing::virtual_time time{ctx, seed};
  const hf::time_point start = time.now();
  std::vector<hf::duration> begun;
  auto fails = [&]() -> asio::awaitable<hf::result<int>> {
    begun.push_back(time.now() - start);
    co_return hf::failure(asio::error::connection_reset);
  };
  auto guard = hf::pipeline().with(hf::retry{.max_attempts = 5});
  auto scenario = [&]() -> asio::awaitable<void> { std::ignore = co_await guard(fails); };
  asio::co_spawn(ctx, scenario, asio::detached);
  time.run();
  return begun;
}
// [/trace]

}  // namespace

TEST_CASE("testing: a seed decides all chance") {
  // [seed]
  CHECK(trace(1) == trace(1));
  CHECK(trace(1) != trace(2));
  // [/seed]
}

TEST_CASE("testing: a scripted call") {
  in_virtual_time([](auto&) -> asio::awaitable<void> {
    // [script]
    // One entry for each attempt: how long it takes, and what it gives.
    struct line {
      hf::duration takes;
      hf::result<std::string> gives;
    };
    std::vector<line> script{{60s, "too late"},
                             {10ms, hf::failure(asio::error::connection_reset)},
                             {10ms, "at last"}};
    std::size_t next = 0;
    auto scripted = [&](hf::call_context& ctx) -> asio::awaitable<hf::result<std::string>> {
      const line& now = script.at(next++);
      co_await hf::sleep_for(now.takes, ctx.token());
      co_return now.gives;
    };
    auto guard = hf::pipeline().with(hf::timeout{1s}).with(hf::retry{});
    hf::result<std::string> answer = co_await guard(scripted);
    CHECK(answer.value() == "at last");
    CHECK(next == 3);
    // [/script]
  });
}

TEST_CASE("testing: a service under load") {
  // [load]
  asio::io_context ctx{1};
  hf::testing::virtual_time time{ctx, 7};

  // Ten slots of 100 ms: a hundred requests a second. For ten seconds every second one hangs.
  hf::testing::service upstream{
      ctx,
      {.slots = 10,
       .takes = hf::testing::exponential(100ms),
       .brown_outs = {{.from = 30s, .until = 40s, .share = 0.5, .takes = 5s}}}};
  hf::testing::call_watch watch;
  auto call = watch.around(upstream);

  hf::bulkhead bulkhead{{.limit = 15, .queue = 15}};
  auto guard = hf::pipeline().with(hf::timeout{1s}).with(bulkhead);

  // Arrivals that do not care how the service is, for two minutes.
  hf::testing::call_log log{time.now()};
  hf::testing::start(ctx, hf::testing::open_loop{.per_second = 80, .lasting = 2min},
                     [&] { return guard(call); }, log);
  time.run();

  CHECK(log.between(0s, 30s).success() > 0.99);
  CHECK(log.between(30s, 40s).success() < 0.5);
  CHECK(log.between(50s, 2min).success() > 0.99);  // it comes back
  CHECK(watch.seen().most_running <= 15);
  CHECK(watch.seen().running == 0);
  // [/load]
}

TEST_CASE("testing: a seed that a failure says, and what must hold whatever happens") {
  // [repeat]
  const std::uint64_t seed = hf::testing::seed_or(7);  // HOLDFAST_SEED where that is set
  INFO("HOLDFAST_SEED=" << seed);                      // what a failed CHECK says
  asio::io_context ctx{1};
  hf::testing::virtual_time time{ctx, seed};
  // [/repeat]

  hf::testing::service ask{ctx,
                           {.slots = 40,
                            .takes = hf::testing::exponential(100ms),
                            .brown_outs = {{.from = 5s, .until = 9s, .share = 0.5, .takes = 5s}},
                            .seed = seed}};
  auto guard = hf::pipeline()
                   .with(hf::timeout{500ms})
                   .with(hf::bulkhead({.limit = 8, .queue = 8}))
                   .with(hf::retry{.max_attempts = 3})
                   .with(hf::timeout{2s});
  // [watch]
  hf::testing::call_watch watch;
  auto call = watch.around(ask);  // for guard(call), as often as you like
  // [/watch]

  // [series]
  hf::testing::call_series calls{time.now(), 1s};  // sums for each second, and no sample kept
  hf::testing::start(ctx, hf::testing::open_loop{.per_second = 30, .lasting = 60s, .seed = seed},
                     [&] { return guard(call); }, calls);
  time.run();
  CHECK(calls.all().p99 <= 2s);
  CHECK(calls.spans()[50].success() == 1.0);  // of the 51st second
  // [/series]

  // [seen]
  CHECK(watch.seen().most_running <= 8);    // no more at once than there are permits
  CHECK(watch.seen().most_attempts <= 3);   // bounded
  CHECK(watch.seen().after_deadline == 0);  // none began when its deadline had come,
  CHECK(watch.seen().past_deadline == 0);   // and none went on after it
  CHECK(watch.seen().running == 0);         // nothing is left
  // [/seen]
  CHECK(watch.seen().started == ask.snapshot().arrived);
}
