// SPDX-License-Identifier: BSL-1.0
#include "load_stats.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace demo {
namespace {

namespace json = boost::json;

json::value to_json(const request_stats& s) {
  return {{"sent", s.sent}, {"lost", s.lost}, {"p50_ms", s.p50_ms}, {"p99_ms", s.p99_ms}};
}

request_stats to_request_stats(const json::value& v) {
  return {.sent = v.at("sent").to_number<std::uint64_t>(),
          .lost = v.at("lost").to_number<std::uint64_t>(),
          .p50_ms = v.at("p50_ms").to_number<double>(),
          .p99_ms = v.at("p99_ms").to_number<double>()};
}

}  // namespace

std::uint64_t load_stats::answers_from(std::string_view source) const {
  const std::string prefix = std::string(source) + " (";
  std::uint64_t count = 0;
  for (const auto& [key, n] : answers) {
    if (key.starts_with(prefix)) {
      count += n;
    }
  }
  return count;
}

std::string to_line(const load_stats& stats) {
  json::object answers;
  for (const auto& [key, n] : stats.answers) {
    answers[key] = n;
  }
  return json::serialize(json::value{{"second", stats.second},
                                     {"total", stats.total},
                                     {"ask", to_json(stats.ask)},
                                     {"history", to_json(stats.history)},
                                     {"answers", std::move(answers)},
                                     {"in_flight", stats.in_flight}}) +
         "\n";
}

load_stats parse_load_stats(const std::string& line) {
  const json::value v = json::parse(line);
  load_stats stats;
  stats.second = v.at("second").to_number<int>();
  stats.total = v.at("total").as_bool();
  stats.ask = to_request_stats(v.at("ask"));
  stats.history = to_request_stats(v.at("history"));
  for (const auto& [key, n] : v.at("answers").as_object()) {
    stats.answers[std::string(key)] = n.to_number<std::uint64_t>();
  }
  stats.in_flight = v.at("in_flight").to_number<std::uint64_t>();
  return stats;
}

}  // namespace demo
