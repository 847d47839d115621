// SPDX-License-Identifier: BSL-1.0
// The service that simulations call, and the clients that call it, in virtual time.
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/error.hpp>
#include <catch2/catch_all.hpp>
#include <cmath>
#include <holdfast/testing/call_watch.hpp>
#include <holdfast/testing/load.hpp>
#include <holdfast/testing/service.hpp>
#include <limits>
#include <stdexcept>
#include <vector>

#include "../support/stage.hpp"

namespace {

using test::stage;
namespace asio = boost::asio;
namespace hf = holdfast;
using hf::testing::constantly;
using hf::testing::reply;
using hf::testing::service;
using namespace std::chrono_literals;

/// Starts so many calls at once and returns what they ended with.
template <class Pipeline>
std::vector<hf::result<reply>> call_at_once(stage& s, const Pipeline& pipe, const service& svc,
                                            int n) {
  std::vector<hf::result<reply>> results;
  for (int i = 0; i < n; ++i) {
    s.start([&]() -> asio::awaitable<void> {
      hf::result<reply> r = co_await pipe(svc);
      results.push_back(std::move(r));
    });
  }
  s.run();
  return results;
}

}  // namespace

TEST_CASE("service: requests wait for a slot, in order") {
  stage s;
  const service svc(s.context, {.slots = 2, .takes = constantly(100ms)});
  const auto results = call_at_once(s, hf::pipeline(), svc, 5);
  CHECK(s.elapsed() == 300ms);
  std::vector<hf::duration> waited;
  for (const auto& r : results) {
    REQUIRE(r.has_value());
    CHECK(r.assume_value().took == 100ms);
    waited.push_back(r.assume_value().waited);
  }
  CHECK(waited == std::vector<hf::duration>{0ms, 0ms, 100ms, 100ms, 200ms});
  CHECK(svc.snapshot().arrived == 5);
  CHECK(svc.snapshot().answered == 5);
  CHECK(svc.snapshot().busy == 0);
}

TEST_CASE("service: a bounded queue refuses at once") {
  stage s;
  const service svc(s.context, {.slots = 1, .queue = 1, .takes = constantly(100ms)});
  const auto results = call_at_once(s, hf::pipeline(), svc, 3);
  REQUIRE(results[0].has_error());
  CHECK(results[0].error().code() == hf::errc::bulkhead_full);
  CHECK(results[1].has_value());
  CHECK(results[2].has_value());
  CHECK(svc.snapshot().refused == 1);
}

TEST_CASE("service: who gives up has gone, and the work goes on, or does not") {
  const bool goes_on = GENERATE(true, false);
  stage s;
  const service svc(s.context,
                    {.slots = 1, .work_goes_on = goes_on, .takes = constantly(1s)});
  const auto results = call_at_once(s, hf::pipeline().with(hf::timeout{1500ms}), svc, 3);
  CHECK(results[0].has_value());
  for (const std::size_t i : {1u, 2u}) {
    REQUIRE(results[i].has_error());
    // One that is dropped from the queue at its deadline may hear so from the service.
    CHECK((results[i].error().code() == hf::errc::attempt_timeout ||
           (!goes_on && results[i].error().code() == hf::errc::deadline_too_near)));
  }
  CHECK(s.elapsed() == (goes_on ? 3s : 1500ms));
  CHECK(svc.snapshot().answered == (goes_on ? 3u : 1u));
  CHECK(svc.snapshot().given_up == 2);
  CHECK(svc.snapshot().busy == 0);
  CHECK(svc.snapshot().waiting == 0);
}

TEST_CASE("service: a brown-out has its time, its share and its end") {
  stage s;
  const service svc(s.context, {.slots = 1'000,
                                .takes = constantly(10ms),
                                .brown_outs = {{.from = 1s,
                                                .until = 2s,
                                                .share = 0.25,
                                                .takes = 100ms,
                                                .fails = asio::error::connection_reset}}});
  const auto failed_at = [&](hf::duration at) {
    s.time.run_until(s.began + at);
    const auto before = svc.snapshot().failed;
    for (const auto& r : call_at_once(s, hf::pipeline(), svc, 400)) {
      if (r.has_error()) CHECK(r.error().code() == asio::error::connection_reset);
    }
    return svc.snapshot().failed - before;
  };
  CHECK(failed_at(900ms) == 0);
  const auto failed = failed_at(1s);
  CHECK(failed > 70);
  CHECK(failed < 130);
  CHECK(s.elapsed() == 1100ms);
  CHECK(failed_at(2s) == 0);
}

TEST_CASE("service: options out of range are listed, all of them") {
  stage s;
  try {
    const service svc(s.context,
                      {.name = "x", .slots = 0, .brown_outs = {{.until = 1s, .share = 2.0}}});
    FAIL("accepted");
  } catch (const hf::invalid_options& e) {
    const std::string what = e.what();
    CHECK(what.find("slots") != std::string::npos);
    CHECK(what.find("brown_outs[0].share") != std::string::npos);
  }
}

TEST_CASE("clients: sessions call one call at a time each, and think between") {
  stage s;
  const service svc(s.context, {.slots = 100, .takes = constantly(1s)});
  const auto pipe = hf::pipeline();
  hf::testing::call_log log(s.time.now());
  const auto operation = [&] { return pipe(svc); };
  hf::testing::start(s.context, hf::testing::closed_loop{.sessions = 50, .lasting = 10s},
                     operation, log);
  s.time.run_for(5s + 1ns);
  CHECK(svc.snapshot().busy == 50);
  s.run();
  // Without a thought, each session calls every second.
  CHECK(log.between(0s, 1h).calls == 500);
  CHECK(log.between(0s, 1h).p99 == 1s);
  CHECK(log.unfinished() == 0);
}

TEST_CASE("clients: arrivals come whatever becomes of those before") {
  stage s;
  const service svc(s.context, {.slots = 1, .takes = constantly(1h)});
  const auto pipe = hf::pipeline();
  hf::testing::call_log log(s.time.now());
  hf::testing::start(s.context, hf::testing::open_loop{.per_second = 100, .lasting = 10s},
                     [&] { return pipe(svc); }, log);
  s.time.run_for(11s);
  CHECK(log.between(0s, 11s).calls == 0);
  CHECK(log.between(0s, 10s).begun > 900);
  CHECK(log.between(0s, 10s).begun < 1100);
  CHECK(log.between(10s, 11s).begun == 0);
}

TEST_CASE("clients: one seed for all does not tie the service times to the arrivals") {
  stage s;
  const service svc(s.context, {.slots = 1'000, .takes = hf::testing::exponential(1s), .seed = 5});
  const auto pipe = hf::pipeline();
  std::vector<double> gaps;
  std::vector<double> times;
  hf::time_point last = s.began;
  const auto call = [&](hf::call_context& context) -> asio::awaitable<hf::result<reply>> {
    gaps.push_back(std::chrono::duration<double>(s.time.now() - last).count());
    last = s.time.now();
    const std::size_t number = gaps.size() - 1;
    times.resize(gaps.size());
    hf::result<reply> r = co_await svc(context);
    times[number] = std::chrono::duration<double>(r.value().took).count();
    co_return r;
  };
  hf::testing::call_log log(s.time.now());
  hf::testing::start(s.context,
                     hf::testing::open_loop{.per_second = 1, .lasting = 1'000s, .seed = 5},
                     [&] { return pipe(call); }, log);
  s.run();
  REQUIRE(gaps.size() > 900);
  // Both have mean and variance one: their covariance is their correlation.
  double together = 0;
  for (std::size_t i = 0; i < gaps.size(); ++i) together += (gaps[i] - 1) * (times[i] - 1);
  CHECK(std::abs(together) / static_cast<double>(gaps.size()) < 0.2);
}

TEST_CASE("clients: a load that cannot be is refused") {
  stage s;
  hf::testing::call_log log(s.time.now());
  const auto operation = []() -> asio::awaitable<hf::result<int>> { co_return 1; };
  const auto start = [&](const auto& loop) {
    hf::testing::start(s.context, loop, operation, log);
  };
  for (const double rate : {0.0, -1.0, 1e7, std::numeric_limits<double>::quiet_NaN()}) {
    CHECK_THROWS_AS(start(hf::testing::open_loop{.per_second = rate, .lasting = 1s}),
                    hf::invalid_options);
  }
  CHECK_THROWS_AS(start(hf::testing::closed_loop{.think = -1s, .lasting = 1s}),
                  hf::invalid_options);
  s.run();
  CHECK(log.between(0s, 1h).begun == 0);
}

TEST_CASE("watch: sees how many run at once, and that all have ended") {
  const auto limit = GENERATE(1U, 3U, 8U);
  stage s(limit);
  const hf::testing::call_watch watch;
  const service svc(s.context, {.slots = 100,
                                .takes = hf::testing::exponential(200ms),
                                .brown_outs = {{.from = 2s, .until = 4s, .share = 0.5, .takes = 1h}},
                                .seed = limit});
  const auto watched = watch.around(svc);
  const auto pipe = hf::pipeline()
                        .with(hf::timeout{500ms})
                        .with(hf::bulkhead({.limit = limit, .queue = 20}))
                        .with(hf::retry{.max_attempts = 3, .wait = {.base = 10ms}})
                        .with(hf::timeout{2s});
  hf::testing::call_log log(s.time.now());
  hf::testing::start(s.context, hf::testing::open_loop{.per_second = 60, .lasting = 10s},
                     [&] { return pipe(watched); }, log);
  s.time.run_for(5s);
  CHECK(watch.seen().running > 0);
  s.run();
  CHECK(watch.seen().running == 0);
  CHECK(watch.seen().most_running == limit);
  CHECK(watch.seen().after_deadline == 0);
  CHECK(watch.seen().past_deadline == 0);
  CHECK(watch.seen().most_attempts <= 3);
  CHECK(watch.seen().started == svc.snapshot().arrived);
}

TEST_CASE("watch: sees a call that comes too late, and one without a context") {
  stage s;
  const hf::testing::call_watch watch;
  const auto plain = watch.around([]() -> asio::awaitable<int> { co_return 1; });
  s.play([&]() -> asio::awaitable<void> {
    // By hand, since a pipeline does not make such a call.
    const auto late = [&plain](hf::call_context& context) -> asio::awaitable<int> {
      co_await hf::sleep_for(2s, asio::bind_cancellation_slot(asio::cancellation_slot(),
                                                              asio::deferred));
      co_return co_await plain(context);
    };
    static_cast<void>(co_await hf::pipeline().with(hf::timeout{1s})(late));
  });
  CHECK(watch.seen().started == 1);
  CHECK(watch.seen().after_deadline == 1);
  CHECK(watch.seen().past_deadline == 1);
  CHECK(watch.seen().running == 0);
}

TEST_CASE("watch: sees a call that does not stop at its deadline, however it ends") {
  const bool throws = GENERATE(true, false);
  stage s;
  const hf::testing::call_watch watch;
  const auto deaf = watch.around([throws]() -> asio::awaitable<void> {
    co_await hf::sleep_for(2s, asio::bind_cancellation_slot(asio::cancellation_slot(),
                                                            asio::deferred));
    if (throws) throw std::runtime_error("late");
  });
  s.play([&]() -> asio::awaitable<void> {
    static_cast<void>(co_await hf::pipeline().with(hf::timeout{1s})(deaf));
    static_cast<void>(co_await hf::pipeline().with(hf::timeout{2s})(deaf));
  });
  CHECK(watch.seen().started == 2);
  CHECK(watch.seen().after_deadline == 0);
  CHECK(watch.seen().past_deadline == 1);
  CHECK(watch.seen().running == 0);
}
