// SPDX-License-Identifier: BSL-1.0
//
// What the services say of themselves at `GET /status`, as the report reads it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace demo {

struct breaker_status {
  std::string name;
  std::string state;       ///< "closed", "open", "half_open" or "isolated"
  double probe_in_ms = 0;  ///< until an open one lets a probe through
};

struct protected_status {
  std::vector<breaker_status> breakers;
  std::uint64_t refused = 0;    ///< calls that a breaker or a bulkhead kept from a provider
  std::uint64_t in_flight = 0;  ///< requests being worked on
};

struct unprotected_status {
  unsigned workers = 0;
  unsigned busy = 0;
  unsigned waiting = 0;  ///< requests that wait for a worker
};

/// Both throw when the body is not what the service writes.
protected_status parse_protected_status(const std::string& body);
unprotected_status parse_unprotected_status(const std::string& body);

}  // namespace demo
