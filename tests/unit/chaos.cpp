// SPDX-License-Identifier: BSL-1.0
// Who is struck, and how: without an executor.
#include <atomic>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/detail/chaos_core.hpp>
#include <holdfast/detail/operation.hpp>
#include <holdfast/invalid_options.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::detail::chaos_core;
using hf::detail::choose;

const hf::failure reset(boost::asio::error::make_error_code(boost::asio::error::connection_reset));

/// The attempts, from 1 to `count`, that a plan strikes.
std::vector<std::uint64_t> struck(const hf::chaos_options& plan, std::uint64_t count,
                                  hf::duration elapsed = 0s) {
  std::vector<std::uint64_t> out;
  for (std::uint64_t a = 1; a <= count; ++a) {
    if (choose(plan, a, elapsed, nullptr).rule) out.push_back(a);
  }
  return out;
}

using numbers = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE("chaos: attempts by number", "[chaos]") {
  const hf::chaos_options plan{
      .rules = {{.first_attempt = 3, .last_attempt = 7, .fault = reset}}};
  CHECK(struck(plan, 100) == numbers{3, 4, 5, 6, 7});
}

TEST_CASE("chaos: attempts by time", "[chaos]") {
  const hf::chaos_options plan{.rules = {{.from = 10s, .until = 20s, .fault = reset}}};
  CHECK(struck(plan, 5, 10s - 1ns).empty());
  CHECK(struck(plan, 5, 10s).size() == 5);
  CHECK(struck(plan, 5, 20s - 1ns).size() == 5);
  CHECK(struck(plan, 5, 20s).empty());
}

TEST_CASE("chaos: attempts by rate, from the seed alone", "[chaos]") {
  hf::chaos_options plan{.seed = 7, .rules = {{.rate = 0.1, .fault = reset}}};
  const auto first = struck(plan, 100'000);
  CHECK(first.size() > 9'700);
  CHECK(first.size() < 10'300);
  CHECK(struck(plan, 100'000) == first);
  plan.seed = 8;
  CHECK(struck(plan, 100'000) != first);
  // Not in step with each other: a hundredth of the attempts are struck by both seeds.
  const auto second = struck(plan, 100'000);
  numbers both;
  std::ranges::set_intersection(first, second, std::back_inserter(both));
  CHECK(both.size() > 850);
  CHECK(both.size() < 1150);
}

TEST_CASE("chaos: a rate strikes without a pattern", "[chaos]") {
  const hf::chaos_options plan{.rules = {{.rate = 0.5, .fault = reset}}};
  const auto hits = struck(plan, 100'000);
  std::size_t pairs = 0;
  for (std::size_t i = 1; i < hits.size(); ++i) pairs += hits[i] == hits[i - 1] + 1;
  CHECK(pairs > 24'000);
  CHECK(pairs < 26'000);
}

TEST_CASE("chaos: the first rule that strikes decides", "[chaos]") {
  const hf::chaos_options plan{.rules = {{.last_attempt = 2, .fault = reset},
                                         {.rate = 0.5, .delay = {.base = 1s}},
                                         {.first_attempt = 3, .hang = true}}};
  int delayed = 0;
  int hung = 0;
  for (std::uint64_t a = 1; a <= 1000; ++a) {
    const auto c = choose(plan, a, 0s, nullptr);
    REQUIRE(c.rule);
    if (a <= 2) CHECK(c.rule->fault);
    delayed += c.delay == 1s;
    hung += c.rule->hang;
  }
  CHECK(delayed + hung == 998);
  CHECK(delayed > 430);
  CHECK(delayed < 570);
}

TEST_CASE("chaos: rules draw independently of each other", "[chaos]") {
  const hf::chaos_options plan{
      .rules = {{.rate = 0.5, .fault = reset}, {.rate = 0.5, .hang = true}}};
  int hung = 0;
  for (std::uint64_t a = 1; a <= 10'000; ++a) {
    const auto c = choose(plan, a, 0s, nullptr);
    hung += c.rule && c.rule->hang;
  }
  CHECK(hung > 2'300);  // half of the half that is left
  CHECK(hung < 2'700);
}

TEST_CASE("chaos: delays follow their distribution", "[chaos]") {
  const auto mean = [](hf::chaos_delay d, hf::duration& least, hf::duration& most) {
    const hf::chaos_options plan{.rules = {{.delay = d}}};
    hf::duration sum{0};
    least = hf::duration::max();
    most = hf::duration::zero();
    for (std::uint64_t a = 1; a <= 20'000; ++a) {
      const auto drawn = choose(plan, a, 0s, nullptr).delay;
      sum += drawn;
      least = std::min(least, drawn);
      most = std::max(most, drawn);
    }
    return std::chrono::duration<double, std::milli>(sum).count() / 20'000;
  };
  hf::duration least{};
  hf::duration most{};
  CHECK(mean({.base = 5ms}, least, most) == Catch::Approx(5));
  CHECK(least == most);
  using enum hf::chaos_delay_kind;
  CHECK(mean({.kind = uniform, .base = 10ms, .cap = 30ms}, least, most) ==
        Catch::Approx(20).margin(0.2));
  CHECK(least >= 10ms);
  CHECK(least < 11ms);
  CHECK(most <= 30ms);
  CHECK(most > 29ms);
  CHECK(mean({.kind = exponential, .base = 20ms}, least, most) == Catch::Approx(20).margin(0.5));
  CHECK(most > 150ms);
  CHECK(mean({.kind = exponential, .base = 20ms, .cap = 40ms}, least, most) < 20);
  CHECK(most == 40ms);
}

TEST_CASE("chaos: a predicate chooses, and one that throws means no", "[chaos]") {
  boost::asio::io_context context{1};
  const hf::tag_set tags{{"tenant", "guinea pig"}};
  const hf::call_options marked{.tags = &tags};
  const hf::call_options plain;
  boost::asio::any_io_executor executor = context.get_executor();
  const hf::detail::operation a(executor, marked);
  const hf::detail::operation b(executor, plain);
  hf::chaos_options plan{
      .rules = {
          {.only_if = [](const hf::call_context& c) { return c.tag("tenant") == "guinea pig"; },
           .fault = reset}}};
  CHECK(choose(plan, 1, 0s, &a).rule);
  CHECK_FALSE(choose(plan, 1, 0s, &b).rule);
  plan.rules[0].only_if = [](const hf::call_context&) -> bool { throw std::runtime_error("no"); };
  CHECK_FALSE(choose(plan, 1, 0s, &a).rule);
}

TEST_CASE("chaos: off unless switched on, and counted from there", "[chaos]") {
  chaos_core core({.rules = {{.first_attempt = 2, .last_attempt = 2, .fault = reset},
                             {.from = 1s, .hang = true}}});
  const hf::time_point t{1h};
  CHECK_FALSE(core.enabled());
  CHECK_FALSE(core.next(t, nullptr).rule);
  CHECK(core.snapshot().attempts == 0);
  for (int round = 0; round < 2; ++round) {
    core.enable();
    CHECK(core.enabled());
    CHECK_FALSE(core.next(t, nullptr).rule);
    core.enable();  // is on already: the count goes on
    const auto second = core.next(t + 100ms, nullptr);
    REQUIRE(second.rule);
    CHECK(second.rule->fault->code() == boost::asio::error::connection_reset);
    CHECK_FALSE(core.next(t + 999ms, nullptr).rule);
    const auto late = core.next(t + 1s, nullptr);
    REQUIRE(late.rule);
    CHECK(late.rule->hang);
    CHECK(core.snapshot().attempts == 4);
    CHECK(core.snapshot().failed == 1);
    CHECK(core.snapshot().hung == 1);
    CHECK(core.snapshot().delayed == 0);
    core.disable();
    CHECK_FALSE(core.next(t, nullptr).rule);
    CHECK_FALSE(core.snapshot().enabled);
    CHECK(core.snapshot().attempts == 4);
  }
  CHECK(chaos_core({.enabled = true}).enabled());
}

TEST_CASE("chaos: other rules at run time; the switch and the count stay", "[chaos]") {
  chaos_core core({.name = "db", .enabled = true, .rules = {{.last_attempt = 3, .fault = reset}}});
  const hf::time_point t{1h};
  const auto first = core.next(t, nullptr);
  REQUIRE(first.rule);
  CHECK_THROWS_AS(core.reconfigure({.rules = {{.rate = 2, .hang = true}}}), hf::invalid_options);
  CHECK(core.next(t, nullptr).rule->fault);
  core.reconfigure({.name = "other", .rules = {{.last_attempt = 3, .hang = true}}});
  CHECK(core.enabled());
  CHECK(core.name() == "db");
  CHECK(core.next(t, nullptr).rule->hang);
  CHECK_FALSE(core.next(t, nullptr).rule);
  CHECK(core.snapshot().attempts == 4);
  CHECK(first.rule->fault);  // what is under way keeps its rule
  core.disable();
  core.reconfigure({.enabled = true});
  CHECK_FALSE(core.enabled());
}

TEST_CASE("chaos: strikes are told, and a listener that throws changes nothing", "[chaos]") {
  chaos_core core({.name = "db",
                   .enabled = true,
                   .rules = {{.last_attempt = 1, .hang = true},
                             {.first_attempt = 3, .delay = {.base = 5ms}, .fault = reset}}});
  std::vector<hf::chaos_strike> told;
  auto subscription = core.on_strike([&](const hf::chaos_strike& s) {
    told.push_back(s);
    static_cast<void>(core.snapshot());  // no lock is held
    throw std::runtime_error("a listener that fails");
  });
  const hf::time_point t{1h};
  for (int i = 0; i < 3; ++i) static_cast<void>(core.next(t + i * 1s, nullptr));
  REQUIRE(told.size() == 2);
  CHECK(told[0].name == "db");
  CHECK(told[0].attempt == 1);
  CHECK(told[0].rule == 0);
  CHECK(told[0].hangs);
  CHECK_FALSE(told[0].fails);
  CHECK(told[0].at == t);
  CHECK(told[1].attempt == 3);
  CHECK(told[1].rule == 1);
  CHECK(told[1].delay == 5ms);
  CHECK_FALSE(told[1].hangs);
  CHECK(told[1].fails);
  CHECK(told[1].at == t + 2s);
  CHECK(core.snapshot().listener_errors == 2);
  subscription.cancel();
  CHECK(core.next(t + 3s, nullptr).rule);
  CHECK(told.size() == 2);
}

TEST_CASE("chaos: every option out of range is refused", "[options]") {
  const auto faults = [](hf::chaos_rule r) -> std::vector<std::string> {
    try {
      chaos_core core({.rules = {{.hang = true}, r}});
    } catch (const hf::invalid_options& e) {
      return e.faults();
    }
    return {};
  };
  using list = std::vector<std::string>;
  using enum hf::chaos_delay_kind;
  CHECK(faults({.fault = reset}).empty());
  CHECK(faults({.rate = 0.0, .hang = true}) ==
        list{"rules[1].rate = 0: must be more than 0 and at most 1"});
  CHECK(faults({.rate = 1.1, .hang = true}).size() == 1);
  CHECK(faults({.rate = std::numeric_limits<double>::quiet_NaN(), .hang = true}).size() == 1);
  CHECK(faults({.first_attempt = 0, .hang = true}) ==
        list{"rules[1].first_attempt = 0: must be at least 1"});
  CHECK(faults({.first_attempt = 5, .last_attempt = 4, .hang = true}).size() == 1);
  CHECK(faults({.from = -1s, .hang = true}).size() == 1);
  CHECK(faults({.from = 2s, .until = 2s, .hang = true}) ==
        list{"rules[1].until = 2s: must be after from (2s)"});
  CHECK(faults({.delay = {.base = -1s}, .fault = reset}).size() == 1);
  CHECK(faults({.delay = {.kind = exponential, .base = 2s, .cap = 1s}}).size() == 1);
  CHECK(faults({.delay = {.kind = uniform, .base = 2s}}).size() == 1);
  CHECK(faults({.hang = true, .fault = reset}) ==
        list{"rules[1].hang = true: excludes a delay and a fault"});
  CHECK(faults({.delay = {.base = 1s}, .hang = true}).size() == 1);
  CHECK(faults({}) == list{"rules[1] = {}: does nothing: set delay, hang or fault"});
  CHECK(faults({.rate = -1, .first_attempt = 0, .from = -1s}).size() == 4);
}

TEST_CASE("chaos: prints every rule", "[describe]") {
  using enum hf::chaos_delay_kind;
  const auto text = [](const chaos_core& core) {
    std::string out;
    core.describe(out);
    return out;
  };
  CHECK(text(chaos_core({})) == "chaos '': off, seed 1");
  CHECK(
      text(chaos_core(
          {.name = "gpt-4",
           .seed = 9,
           .enabled = true,
           .rules = {{.first_attempt = 3, .last_attempt = 7, .fault = hf::failure(hf::errc::shed)},
                     {.rate = 0.25, .from = 1min, .until = 2min, .delay = {.base = 2s}},
                     {.first_attempt = 10, .hang = true},
                     {.from = 5s,
                      .only_if = [](const hf::call_context&) { return true; },
                      .delay = {.kind = uniform, .base = 1ms, .cap = 5ms},
                      .fault = hf::failure(std::make_exception_ptr(std::runtime_error("boom")))},
                     {.delay = {.kind = exponential, .base = 1s, .cap = 10s}},
                     {.delay = {.kind = exponential, .base = 1s}}}})) ==
      "chaos 'gpt-4': on, seed 9; 100 % of attempts 3 to 7 fail: " +
          make_error_code(hf::errc::shed).message() +
          "; 25 % of attempts from 60s to 120s are delayed by 2s; 100 % of attempts from 10 hang; "
          "100 % of attempts from 5s that a predicate names are delayed between 1ms and 5ms and "
          "fail: boom; 100 % of attempts are delayed by 1s on average, at most 10s; 100 % of "
          "attempts are delayed by 1s on average");
  CHECK(to_string(uniform) == "uniform");
  CHECK(to_string(static_cast<hf::chaos_delay_kind>(9)) == "unknown");
}

TEST_CASE("chaos: threads count each attempt once", "[chaos][threads]") {
  // Real threads.
  chaos_core core(
      {.enabled = true, .rules = {{.first_attempt = 3, .last_attempt = 7, .fault = reset}}});
  std::atomic<int> hits{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 5'000; ++i) {
          if (core.next(hf::time_point(1h), nullptr).rule) ++hits;
          if (i % 100 == 0) {
            core.reconfigure({.rules = {{.first_attempt = 3, .last_attempt = 7, .fault = reset}}});
          }
        }
      });
    }
  }
  CHECK(hits == 5);
  CHECK(core.snapshot().attempts == 20'000);
}
