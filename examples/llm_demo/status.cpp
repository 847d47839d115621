// SPDX-License-Identifier: BSL-1.0
#include "status.hpp"

#include <boost/json/parse.hpp>

namespace demo {

namespace json = boost::json;

protected_status parse_protected_status(const std::string& body) {
  const json::value v = json::parse(body);
  protected_status status;
  for (const json::value& b : v.at("breakers").as_array()) {
    status.breakers.push_back({.name = std::string(b.at("name").as_string()),
                               .state = std::string(b.at("state").as_string()),
                               .probe_in_ms = b.at("probe_in_ms").to_number<double>()});
  }
  status.refused = v.at("refused").to_number<std::uint64_t>();
  status.in_flight = v.at("in_flight").to_number<std::uint64_t>();
  return status;
}

unprotected_status parse_unprotected_status(const std::string& body) {
  const json::value v = json::parse(body);
  return {.workers = v.at("workers").to_number<unsigned>(),
          .busy = v.at("busy").to_number<unsigned>(),
          .waiting = v.at("waiting").to_number<unsigned>()};
}

}  // namespace demo
