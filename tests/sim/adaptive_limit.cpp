// SPDX-License-Identifier: BSL-1.0
// Does the limit find what the service can do? A simulated server, and the criteria of the field.
#include <algorithm>
#include <catch2/catch_all.hpp>
#include <holdfast/detail/limit_core.hpp>
#include <holdfast/testing/dice.hpp>
#include <numeric>
#include <vector>

#include "../support/seed.hpp"
#include "server.hpp"

namespace {

using namespace std::chrono_literals;
namespace hf = holdfast;

constexpr hf::duration service_time = 50ms;  // on average

enum class lengths { exponential, constant };

/// Open-loop calls, through an adaptive limit, to a server that can change its size.
class bench {
 public:
  bench(hf::adaptive_limit_options o, unsigned places, double per_second, lengths kind,
        std::uint64_t seed)
      : core(std::move(o)), machine(time, places), rate(per_second), kind_(kind), dice_(seed) {
    arrive();
  }

  struct call {
    hf::time_point ended;
    hf::duration took;
    hf::duration waited;
  };

  void run_for(hf::duration d) { time.run_until(time.now() + d); }

  /// Every call that ended within the last `d`.
  std::vector<call> last(hf::duration d) const {
    std::vector<call> out;
    for (auto i = served.rbegin(); i != served.rend() && i->ended > time.now() - d; ++i) {
      out.push_back(*i);
    }
    return out;
  }

  sim::agenda time;
  hf::detail::limit_core core;
  sim::server machine;
  std::vector<call> served;
  double rate;
  hf::duration service_time = ::service_time;

 private:
  void arrive() {
    const auto gap = hf::duration(static_cast<hf::duration::rep>(1e9 / rate));
    time.after(dice_.exponential(gap), [this] {
      enter();
      arrive();
    });
  }

  void enter() {
    const auto a = core.try_enter();
    if (a.in_flight == 0) return core.count_refusal();
    const hf::time_point began = time.now();
    const hf::duration length =
        kind_ == lengths::constant ? service_time : dice_.exponential(service_time);
    machine.take(length, [this, a, began](hf::duration waited) {
      core.release();
      served.push_back({time.now(), time.now() - began, waited});
      const bool over = a.watched == hf::detail::attention::timed
                            ? core.add_answer(began, time.now(), a.in_flight)
                            : core.may_be_due(time.now()) && core.look(time.now());
      if (over) core.close_window(time.now(), dice_.raw());
    });
  }

  lengths kind_;
  hf::testing::dice dice_;
};

template <class Field>
hf::duration p99(std::vector<bench::call> calls, Field field) {
  REQUIRE(calls.size() > 100);
  const auto at = calls.begin() + static_cast<std::ptrdiff_t>(calls.size() * 99 / 100);
  std::ranges::nth_element(calls, at, {}, field);
  return (*at).*field;
}

double per_second(const std::vector<bench::call>& calls, hf::duration d) {
  return static_cast<double>(calls.size()) / std::chrono::duration<double>(d).count();
}

/// The defaults, and for AIMD the bound that it needs where the service drops nothing.
hf::adaptive_limit_options options_of(hf::limit_algorithm a) {
  hf::adaptive_limit_options o{.algorithm = a};
  if (a == hf::limit_algorithm::aimd) o.slow_after = 80ms;
  return o;
}

}  // namespace

TEST_CASE(
    "adaptive limit: at twice the capacity the service does all it can, and nobody waits long",
    "[sim]") {
  const auto algorithm = GENERATE(hf::limit_algorithm::gradient, hf::limit_algorithm::vegas,
                                  hf::limit_algorithm::aimd);
  const auto kind = GENERATE(lengths::exponential, lengths::constant);
  const test::seed seed(GENERATE(range(1u, 5u)));
  CAPTURE(to_string(algorithm), kind == lengths::constant);
  bench b(options_of(algorithm), 20, 800, kind, seed);

  // Ten seconds after each change everything is as it should be, for a minute.
  const auto check = [&](const char* what, double capacity) {
    INFO(what << ", limit " << b.core.limit());
    b.run_for(20s);
    CHECK(per_second(b.last(10s), 10s) >= 0.90 * capacity);
    b.run_for(50s);
    const auto calls = b.last(60s);
    CHECK(per_second(calls, 60s) >= 0.95 * capacity);
    // Of exponential lengths one in twenty alone takes three times the mean: there it is the wait
    // that counts, which may be two means. Of constant ones it is the whole.
    CHECK(p99(calls, &bench::call::waited) <= 2 * service_time);
    if (kind == lengths::constant) CHECK(p99(calls, &bench::call::took) <= 3 * service_time);
  };
  check("20 places", 400);
  b.machine.resize(10);
  check("half of them gone", 200);
  b.machine.resize(20);
  check("back", 400);
  b.machine.resize(40);
  b.rate = 1600;
  check("twice as many", 800);
}

TEST_CASE("adaptive limit: an hour of overload does not make it drift", "[sim]") {
  const auto algorithm = GENERATE(hf::limit_algorithm::gradient, hf::limit_algorithm::vegas,
                                  hf::limit_algorithm::aimd);
  const auto kind = GENERATE(lengths::exponential, lengths::constant);
  const test::seed seed(3);
  CAPTURE(to_string(algorithm), kind == lengths::constant);
  bench b(options_of(algorithm), 20, 480, kind, seed);
  b.run_for(30s);
  std::vector<unsigned> limits;
  while (limits.size() < 3570) {
    b.run_for(1s);
    limits.push_back(b.core.limit());
    // While the idle latency is measured the limit stands aside for a window or two.
    if (b.core.snapshot().measuring_idle) limits.back() = 0;
  }
  const auto measuring = std::erase(limits, 0u);
  CHECK(measuring < 300);
  const double middle = std::accumulate(limits.begin(), limits.end(), 0.0) /
                        static_cast<double>(limits.size());
  const auto [low, high] = std::ranges::minmax(limits);
  CHECK(low >= 0.75 * middle);
  CHECK(high <= 1.25 * middle);
  CHECK(static_cast<double>(b.served.size()) >= 0.95 * 400 * 3600);
  CHECK(middle > 20);
  CHECK(middle < 45);
}

TEST_CASE("adaptive limit: a start far too high is found out", "[sim]") {
  const auto algorithm = GENERATE(hf::limit_algorithm::gradient, hf::limit_algorithm::vegas);
  const test::seed seed(1);
  CAPTURE(to_string(algorithm));
  bench b({.algorithm = algorithm, .initial_limit = 200}, 5, 200, lengths::exponential, seed);
  b.run_for(60s);
  b.run_for(30s);
  const auto calls = b.last(30s);
  CHECK(per_second(calls, 30s) >= 0.9 * 100);
  CHECK(p99(calls, &bench::call::waited) <= 4 * service_time);
}

TEST_CASE("adaptive limit: a service that is slower than before is not taken for a full one",
          "[sim]") {
  const auto algorithm = GENERATE(hf::limit_algorithm::gradient, hf::limit_algorithm::vegas);
  const test::seed seed(1);
  CAPTURE(to_string(algorithm));
  bench b({.algorithm = algorithm}, 20, 800, lengths::exponential, seed);
  b.run_for(60s);
  b.service_time = 150ms;  // a third of the capacity is left, and the same number of places
  b.run_for(60s);
  b.run_for(60s);
  CHECK(per_second(b.last(60s), 60s) >= 0.9 * 20 / 0.150);
  b.service_time = 50ms;
  b.run_for(60s);
  b.run_for(60s);
  const auto calls = b.last(60s);
  CHECK(per_second(calls, 60s) >= 0.95 * 400);
  CHECK(p99(calls, &bench::call::waited) <= 2 * service_time);
}

TEST_CASE("adaptive limit: light traffic is never turned away", "[sim]") {
  const auto algorithm = GENERATE(hf::limit_algorithm::gradient, hf::limit_algorithm::vegas,
                                  hf::limit_algorithm::aimd);
  const test::seed seed(5);
  CAPTURE(to_string(algorithm));
  bench b(options_of(algorithm), 20, 100, lengths::exponential, seed);  // five in flight
  b.run_for(10min);
  CHECK(b.core.refused() == 0);
  // Nor does a limit that nobody uses grow without end.
  CHECK(b.core.limit() <= 2 * 20);
}
