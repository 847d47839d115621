// SPDX-License-Identifier: BSL-1.0
// The parts of examples/outage_lab.
#include <catch2/catch_all.hpp>
#include <holdfast/invalid_options.hpp>
#include <holdfast/read_configuration.hpp>
#include <limits>
#include <string>

#include "experiment.hpp"
#include "options.hpp"
#include "plot.hpp"
#include "report.hpp"
#include "scenario.hpp"
#include "shipped.hpp"

namespace {

namespace hf = holdfast;
using namespace std::chrono_literals;
using lines = std::vector<std::string>;

lines faults_of(std::string_view json) {
  try {
    lab::read_scenario(json);
  } catch (const hf::invalid_options& e) {
    return e.faults();
  }
  return {};
}

const char* const small = R"({
  "lasts": "40s", "deadline": "3s", "seed": 5,
  "service": {"slots": 10, "takes": {"exponential": "100ms"},
              "brown_outs": [{"from": "10s", "until": "20s", "share": 0.5, "takes": "5s"}]},
  "clients": {"per_second": 60}})";

hf::service_options policies(std::string_view json) {
  return hf::read_configuration(R"({"services": {"it": )" + std::string(json) + "}}")
      .services.at("it");
}

}  // namespace

TEST_CASE("lab: everything that is shipped can be read", "[lab]") {
  for (const lab::shipped_file& f : lab::shipped_scenarios()) {
    CAPTURE(f.name);
    const lab::scenario s = lab::read_scenario(f.json);
    CHECK_FALSE(s.about.empty());
    CHECK(s.lasts >= 1min);
    CHECK(std::ranges::count(lab::shipped_pipelines(), f.pipelines, &lab::shipped_file::name) == 1);
  }
  for (const lab::shipped_file& f : lab::shipped_pipelines()) {
    CAPTURE(f.name);
    CHECK(hf::read_configuration(f.json).services.size() >= 5);
  }
}

TEST_CASE("lab: a scenario is read with every member", "[lab]") {
  const lab::scenario s = lab::read_scenario(R"({
    "about": "x", "lasts": "2m", "deadline": "4s", "seed": 9,
    "service": {"slots": 3, "queue": 7, "order": "lifo", "work_goes_on": false,
                "takes": {"constant": "5ms"},
                "brown_outs": [{"from": "1s", "until": "2s", "share": 0.5, "takes": "3s",
                                "fails": true}]},
    "clients": {"sessions": 11, "think": "6s"},
    "server": {"workers": 8, "other": {"per_second": 2.5, "takes": {"exponential": "4ms"}}}})");
  CHECK(s.about == "x");
  CHECK(s.lasts == 2min);
  CHECK(s.deadline == 4s);
  CHECK(s.seed == 9);
  CHECK(s.service.slots == 3);
  CHECK(s.service.queue == 7);
  CHECK(s.service.order == hf::queue_order::lifo);
  CHECK_FALSE(s.service.work_goes_on);
  CHECK(s.service.takes.constant == 5ms);
  REQUIRE(s.service.brown_outs.size() == 1);
  CHECK(s.service.brown_outs[0].share == 0.5);
  CHECK(s.service.brown_outs[0].fails);
  CHECK(s.clients.sessions == 11);
  CHECK(s.clients.think == 6s);
  REQUIRE(s.server);
  CHECK(s.server->workers == 8);
  CHECK(s.server->other.per_second == 2.5);
  CHECK(s.server->other.takes.exponential == 4ms);
  CHECK_FALSE(lab::read_scenario(small).server);
}

TEST_CASE("lab: a wrong scenario is refused with every fault and its place", "[lab]") {
  CHECK(faults_of(small).empty());
  CHECK(faults_of(R"({"lasts": "0s", "sevice": {}, "service": {"slots": 0, "takes": {},
      "brown_outs": [{"from": "2s", "until": "1s", "share": 7}]},
      "clients": {"sessions": 1, "per_second": 1}})") ==
        lines{"sevice: is not known; did you mean service?",
              "lasts: must be from 1s to 24h",
              "service.slots: must be from 1 to 1000000000",
              "service.takes: must say either exponential or constant, more than 0s",
              "service.brown_outs[0].until: must be later than from",
              "service.brown_outs[0].share: must be from 0 to 1",
              "clients: must say either sessions or per_second, more than 0",
              "clients.think: must be at least 1ms"});
  CHECK(faults_of(R"({"service": {"takes": {"constant": "1s"}}, "clients": {"per_second": 1},
      "server": {"workers": 0, "others": 1, "other": {"per_second": 2000000,
                 "takes": {"constant": "25h"}}}})") ==
        lines{"server.others: is not known; did you mean other?",
              "server.workers: must be from 1 to 1000000000",
              "server.other.per_second: must be from 0.000001 to 1000000",
              "server.other.takes.constant: must be from 0s to 24h"});
  CHECK(faults_of(R"({"service": {"takes": {"constant": "1s"}}, "clients": {"per_second": 1},
      "server": {}})") ==
        lines{"server.other.per_second: must be from 0.000001 to 1000000",
              "server.other.takes: must say either exponential or constant, more than 0s"});
  CHECK(faults_of("[]").front() == "document: must be an object, is []");
  CHECK(faults_of("{").front().find("line 1, column 2") == 0);
}

TEST_CASE("lab: a seed decides everything", "[lab]") {
  lab::scenario s = lab::read_scenario(small);
  const auto naive = policies(R"({"timeout": {"after": "1s"}, "retry": {"max_attempts": 3}})");
  const auto figures = [&] {
    const lab::course c = lab::run(s, "it", naive);
    return std::tuple(c.calls, c.good, c.attempts, c.p50, c.p99);
  };
  const auto first = figures();
  CHECK(figures() == first);
  s.seed = 6;
  CHECK(figures() != first);
}

TEST_CASE("lab: each policy of a pipeline does its work", "[lab]") {
  const lab::scenario s = lab::read_scenario(small);
  const auto run = [&](std::string_view json) { return lab::run(s, "it", policies(json)); };
  // Without any policy the calls have the scenario's deadline, and one attempt each.
  const lab::course bare = run("{}");
  CHECK(bare.seconds.size() == 40);
  CHECK(bare.p99 <= 3s);
  CHECK(bare.attempts == bare.begun);
  CHECK_FALSE(bare.seconds[0].breaker);

  CHECK(run(R"({"timeout": {"after": "500ms"}})").p99 == 500ms);
  CHECK(run(R"({"timeout": {"after": "500ms"}, "retry": {"max_attempts": 3}})").attempts >
        1.2 * bare.attempts);
  CHECK(run(R"({"rate_limiter": {"permits": 10, "burst": 1}})").attempts <= 401);
  CHECK(run(R"({"bulkhead": {"limit": 12}})").good > bare.good);
  CHECK(run(R"({"chaos": {"rules": [{"rate": 1, "fault": "connection_reset"}]}})").good == 0);
  CHECK(run(R"({"hedge": {"delay": "300ms"}})").attempts > bare.attempts);
  CHECK(run(R"({"throttle": {"min_per_second": 1, "window": "10s"},
                "timeout": {"after": "500ms"}})").attempts < 0.9 * bare.attempts);

  const lab::course broken = run(R"({"timeout": {"after": "500ms"},
                                     "circuit_breaker": {"open_for": "1s"}})");
  REQUIRE(broken.seconds[0].breaker);
  CHECK(std::ranges::any_of(broken.seconds, [](const lab::second& now) {
    return now.breaker == hf::breaker_state::open;
  }));
}

TEST_CASE("lab: where one route's calls hang, a server's workers are gone for the other", "[lab]") {
  const lab::scenario s = lab::read_scenario(R"({
    "lasts": "60s", "deadline": "3s", "seed": 5,
    "service": {"slots": 1000, "takes": {"constant": "100ms"},
                "brown_outs": [{"from": "20s", "until": "40s", "takes": "30s"}]},
    "clients": {"per_second": 10},
    "server": {"workers": 20, "other": {"per_second": 20, "takes": {"constant": "50ms"}}}})");
  const auto run = [&s](std::string_view json) { return lab::run(s, "it", policies(json)); };
  const auto row_of = [&s](const lab::course& c) { return lab::rows_of(s, {c}).front(); };

  const lab::course bare = run("{}");
  // Two workers are busy on average, and ten calls a second stay.
  REQUIRE(bare.full_at);
  CHECK(*bare.full_at > 20s);
  CHECK(*bare.full_at < 24s);
  CHECK(bare.seconds[39].busy == 20);
  CHECK(bare.seconds[39].other_good == 0);
  CHECK(bare.p99 == 3s);  // who calls waits no longer, whatever the server does
  REQUIRE(row_of(bare).other);
  CHECK(*row_of(bare).other < 0.3);
  CHECK(row_of(bare).full_at == std::chrono::duration<double>(*bare.full_at).count());

  const lab::course kept = run(R"({"bulkhead": {"limit": 10}})");
  CHECK_FALSE(kept.full_at);
  CHECK(*row_of(kept).other == 1.0);
  CHECK(kept.seconds[39].busy >= 10);
  CHECK(kept.seconds[39].busy < 20);
  double others = 0;
  for (const lab::second& now : kept.seconds) others += now.other_ended;
  CHECK(others > 1100);
  CHECK(others < 1300);

  const std::string table = lab::table(s, {bare, kept});
  CHECK(table.find("full at\n") != std::string::npos);
  CHECK(table.find(" never\n") != std::string::npos);
  CHECK(lab::html("it", s, {bare}, {}).find("Workers that are busy") != std::string::npos);
}

TEST_CASE("lab: a server is full when its last worker is busy", "[lab]") {
  lab::scenario s = lab::read_scenario(R"({
    "lasts": "20s", "service": {"slots": 1000, "takes": {"constant": "1h"}},
    "clients": {"sessions": 5, "think": "1s"},
    "server": {"workers": 6, "other": {"per_second": 0.00001, "takes": {"constant": "1s"}}}})");
  CHECK_FALSE(lab::run(s, "it", policies("{}")).full_at);
  s.clients.sessions = 6;
  CHECK(lab::run(s, "it", policies("{}")).full_at);
}

TEST_CASE("lab: defaults are for what a service does not say", "[lab]") {
  const hf::configuration c = hf::read_configuration(
      R"({"defaults": {"timeout": {"after": "1s"}, "retry": {}},
          "services": {"it": {"timeout": {"after": "2s"}}}})");
  const hf::service_options o = lab::with_defaults(c.services.at("it"), c.defaults);
  CHECK(o.timeout->after == 2s);
  CHECK(o.retry);
  CHECK_FALSE(o.bulkhead);
}

TEST_CASE("lab: the table and the page show every pipeline", "[lab]") {
  const lab::scenario s = lab::read_scenario(small);
  std::vector<lab::course> courses;
  courses.push_back(lab::run(s, "plain", policies("{}")));
  courses.push_back(lab::run(s, "a<b", policies(R"({"circuit_breaker": {}})")));
  const auto rows = lab::rows_of(s, courses);
  REQUIRE(rows.size() == 2);
  REQUIRE(rows[0].during);
  CHECK(*rows[0].during < *rows[0].good);
  REQUIRE(rows[0].after);
  CHECK(*rows[0].after > *rows[0].during);
  CHECK(rows[0].calls == courses[0].calls);

  const std::string table = lab::table(s, courses);
  CHECK(std::ranges::count(table, '\n') == 3);
  CHECK(table.find("\nplain ") != std::string::npos);

  const std::string page = lab::html("small", s, courses, {{"my.json", "{\"x\": \"<&>\"}"}});
  CHECK(page.find("a<b") == std::string::npos);
  CHECK(page.find("a&lt;b") != std::string::npos);
  CHECK(page.find("http") == std::string::npos);  // it needs nothing else
  const auto count = [&page](std::string_view what) {
    std::size_t n = 0;
    for (std::size_t at = page.find(what); at != page.npos; at = page.find(what, at + 1)) ++n;
    return n;
  };
  CHECK(count("role=\"img\"") == 6);
  CHECK(count("<svg") == 8);  // a sample of its line before each pipeline
  CHECK(count("</svg>") == 8);
  CHECK(count("<title>plain</title>") == 5);  // a line in every plot but the breakers'
  CHECK(count(">a&lt;b</text>") == 6);        // a word in every legend, and beside its breaker
  CHECK(count(">brown-out</text>") == 6);
  CHECK(count(" since the start</text>") == 6);
  CHECK(count(">calls per second</text>") == 2);
  CHECK(count("nan") == 0);
  // What was run can be run again.
  CHECK(count("my.json") == 1);
  CHECK(count("{&quot;x&quot;: &quot;&lt;&amp;&gt;&quot;}") == 1);
}

TEST_CASE("lab: the page of hours is no longer than that of minutes", "[lab]") {
  lab::scenario s = lab::read_scenario(small);
  s.lasts = 2h;
  s.clients.per_second = 0.1;
  const std::vector<lab::course> courses{lab::run(s, "it", policies("{}"))};
  CHECK(courses[0].seconds.size() == 7200);
  const std::string page = lab::html("long", s, courses, {});
  CHECK(page.size() < 80'000);
  CHECK(page.find("means of 9 seconds") != std::string::npos);
  CHECK(page.find("minutes since the start") != std::string::npos);
}

TEST_CASE("lab: a plot without a value has its frame", "[lab]") {
  CHECK(lab::line_plot({"none", "", 0, {}}, {}).find("</svg>") != std::string::npos);
  CHECK(lab::line_plot({"zero", "", 2, {}}, {{"x", {0, 0}}}).find("nan") == std::string::npos);
}

TEST_CASE("lab: a line has gaps where there is no value", "[lab]") {
  const double gap = std::numeric_limits<double>::quiet_NaN();
  const std::string plot = lab::line_plot({"x", "", 5, {}}, {{"x", {1, 2, gap, 3, gap}}});
  const std::size_t at = plot.find("class=\"line\" d=\"", plot.find("</g>")) + 16;
  const std::string path = plot.substr(at, plot.find('"', at) - at);
  CHECK(std::ranges::count(path, 'M') == 2);
  CHECK(std::ranges::count(path, 'L') == 3);
}

TEST_CASE("lab: the command line is read, or refused with a reason", "[lab]") {
  const auto parse = [](lines arguments) { return lab::parse_options(arguments); };
  const lab::options o = parse({"--html", "out.html", "--seed", "3", "outage", "a.json", "b.json"});
  CHECK(o.html == "out.html");
  CHECK(o.seed == 3u);
  CHECK(o.scenario == "outage");
  CHECK(o.pipelines == lines{"a.json", "b.json"});
  CHECK_THROWS_AS(parse({}), lab::wrong_arguments);
  CHECK_THROWS_AS(parse({"--seed"}), lab::wrong_arguments);
  CHECK_THROWS_AS(parse({"--seed", "x", "outage"}), lab::wrong_arguments);
  CHECK_THROWS_AS(parse({"--sed", "3", "outage"}), lab::wrong_arguments);
}
