// SPDX-License-Identifier: BSL-1.0
// Scenario S1, a retry storm: for a minute one request in seven hangs, and a service whose callers
// retry at once never comes back. A thousand sessions at a service of 23 slots and 200 ms, 85 % of
// which is used; what callers have given up is served all the same.
#include <boost/asio/error.hpp>
#include <catch2/catch_all.hpp>
#include <fmt/format.h>
#include <holdfast/resilient.hpp>
#include <holdfast/standard.hpp>
#include <holdfast/testing/load.hpp>
#include <holdfast/testing/service.hpp>

#include <cstdio>

#include "../support/stage.hpp"

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::testing::call_summary;

/// One span of the experiment.
struct phase {
  call_summary of_calls;
  double attempts_per_call;
};

struct outcome {
  phase before;       // up to 60 s
  phase during;       // up to 120 s
  phase recovery;     // the ten seconds after
  phase after;        // up to 180 s
  phase long_after;   // up to 240 s
};

/// Think times of ten seconds unless said otherwise.
template <class Pipeline>
outcome storm(const Pipeline& pipe, std::uint64_t seed, hf::duration think = 10s,
              unsigned sessions = 1000) {
  test::stage s(seed);
  const hf::testing::service upstream(
      s.context, {.name = "upstream",
                  .slots = 23,
                  .takes = hf::testing::exponential(200ms),
                  .brown_outs = {{.from = 60s,
                                  .until = 120s,
                                  .share = 0.15,
                                  .takes = 2s,
                                  .fails = asio::error::timed_out}},
                  .seed = seed});
  hf::testing::call_log log(s.time.now());
  hf::testing::start(s.context,
                     hf::testing::closed_loop{
                         .sessions = sessions, .think = think, .lasting = 240s, .seed = seed},
                     [&] { return pipe(upstream); }, log);
  std::uint64_t attempts = 0;
  hf::duration from{0};
  const auto until = [&](hf::duration end) {
    s.time.run_until(s.began + end);
    const call_summary calls = log.between(from, end);
    const std::uint64_t made = upstream.snapshot().arrived - attempts;
    attempts += made;
    from = end;
    return phase{calls, static_cast<double>(made) / static_cast<double>(calls.calls)};
  };
  const outcome o{until(60s), until(120s), until(130s), until(180s), until(240s)};
  s.run();
  CHECK(log.unfinished() == 0);
  CHECK(upstream.snapshot().busy == 0);
  return o;
}

const hf::retry three_at_once{.max_attempts = 4, .wait = {.base = 0s, .cap = 0s}};

}  // namespace

TEST_CASE("S1: retries without a thought hold a service down for ever", "[scenario]") {
  const test::seed seed(GENERATE(7U, 11U, 12U, 13U));
  const outcome o = storm(hf::pipeline().with(hf::timeout{2s}).with(three_at_once), seed);
  CHECK(o.before.of_calls.success() > 0.99);
  CHECK(o.during.of_calls.success() < 0.1);
  // A minute after the cause has gone.
  CHECK(o.long_after.of_calls.success() < 0.01);
  CHECK(o.long_after.attempts_per_call >= 3.9);
  for (const hf::duration d : {o.after.of_calls.p50, o.after.of_calls.p99}) {
    CHECK(d >= 7.92s);
    CHECK(d <= 8.08s);
  }
}

TEST_CASE("S1: jitter alone does not help, nor does a budget alone", "[scenario]") {
  const test::seed seed(7);
  SECTION("jitter") {
    const outcome o =
        storm(hf::pipeline()
                  .with(hf::timeout{2s})
                  .with(hf::retry{.max_attempts = 4, .wait = {.base = 500ms, .cap = 20s}}),
              seed);
    CHECK(o.long_after.of_calls.success() < 0.01);
  }
  SECTION("budget") {
    hf::retry retry = three_at_once;
    retry.budget = hf::retry_budget({.ratio = 0.1, .min_per_second = 0});
    const outcome o = storm(hf::pipeline().with(hf::timeout{2s}).with(retry), seed);
    CHECK(o.after.of_calls.success() < 0.01);
    CHECK(o.after.attempts_per_call < 1.15);
  }
}

TEST_CASE("S1: errors that come fast are harmless", "[scenario]") {
  // The counterproof: it is the time that hanging requests hold, not their number.
  const test::seed seed(7);
  test::stage s(seed);
  const hf::testing::service upstream(s.context,
                                      {.slots = 23,
                                       .takes = hf::testing::exponential(200ms),
                                       .brown_outs = {{.from = 60s,
                                                       .until = 120s,
                                                       .share = 0.15,
                                                       .fails = asio::error::connection_reset}},
                                       .seed = seed});
  const auto pipe = hf::pipeline().with(hf::timeout{2s}).with(three_at_once);
  hf::testing::call_log log(s.time.now());
  hf::testing::start(
      s.context,
      hf::testing::closed_loop{.sessions = 1000, .think = 10s, .lasting = 120s, .seed = seed},
      [&] { return pipe(upstream); }, log);
  s.run();
  CHECK(log.between(60s, 120s).success() > 0.99);
}

TEST_CASE("S1: where sessions think too little, a service cannot get stuck", "[scenario]") {
  const test::seed seed(7);
  // 200 of them, each of whose calls takes 8 s at the worst, make no more than 80 attempts a second
  // then; the service can serve 115.
  const outcome o = storm(hf::pipeline().with(hf::timeout{2s}).with(three_at_once), seed, 2s, 200);
  CHECK(o.long_after.of_calls.success() > 0.99);
}

TEST_CASE("S1: the standard stack keeps serving, and is back within ten seconds", "[scenario]") {
  const test::seed seed(GENERATE(7U, 11U, 12U, 13U));
  const auto concurrency = GENERATE(25U, 32U, 60U);
  CAPTURE(concurrency);
  const hf::standard_options options{.name = "upstream", .concurrency = concurrency};
  const outcome o = storm(hf::standard(options), seed);
  for (const phase& p : {o.before, o.during, o.recovery, o.after, o.long_after}) {
    CHECK(p.attempts_per_call <= 1.2);
    CHECK(p.of_calls.p99 <= options.deadline);
    CHECK(p.of_calls.longest <= options.deadline);
  }
  CHECK(o.before.of_calls.success() >= 0.99);
  CHECK(o.during.of_calls.success() >= 0.4);
  CHECK(o.after.of_calls.success() >= 0.98);
  CHECK(o.long_after.of_calls.success() >= 0.99);
}

// Prints what docs/standard.md shows: scenario_retry_storm "[table]"
TEST_CASE("S1: the table", "[.][table]") {
  const auto row = [](const char* name, const auto& pipe) {
    const outcome o = storm(pipe, 7);
    const auto seconds = [](hf::duration d) { return std::chrono::duration<double>(d).count(); };
    fmt::print("| {} | {:.1f} % | {:.1f} % | {:.1f} % | {:.2f} | {:.2f} | {:.2f} s |\n", name,
               100 * o.during.of_calls.success(), 100 * o.after.of_calls.success(),
               100 * o.long_after.of_calls.success(), o.during.attempts_per_call,
               o.long_after.attempts_per_call, seconds(o.during.of_calls.p99));
  };
  const auto each = hf::pipeline().with(hf::timeout{2s});
  const hf::retry jitter{.max_attempts = 4, .wait = {.base = 500ms, .cap = 20s}};
  hf::retry budget = three_at_once;
  budget.budget = hf::retry_budget({.ratio = 0.1, .min_per_second = 0});
  const hf::circuit_breaker breaker({.consecutive_failures = 0,
                                     .failure_rate = 0.5,
                                     .window = 10s,
                                     .minimum_calls = 20,
                                     .open_for = 5s,
                                     .half_open_probes = 5});
  row("three retries at once", each.with(three_at_once));
  row("retries with full jitter", each.with(jitter));
  row("retries within a budget of 10 %", each.with(budget));
  row("a breaker at 50 %", each.with(breaker).with(three_at_once));
  row("an adaptive limit", each.with(hf::adaptive_limit()).with(three_at_once));
  row("a bulkhead of 32", each.with(hf::bulkhead({.limit = 32})).with(three_at_once));
  row("`hf::standard()`", hf::standard());
  row("`hf::standard({.concurrency = 60})`", hf::standard({.concurrency = 60}));
  row("`hf::standard({.concurrency = 100})`", hf::standard({.concurrency = 100}));
}
