// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/policy/bulkhead_options.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lab {

namespace hf = holdfast;

/// How long a request is served: one of the two.
struct service_time {
  hf::duration exponential{0};  ///< At random, with this mean.
  hf::duration constant{0};
};

/// A time in which some requests are treated otherwise.
struct brown_out {
  hf::duration from{0};
  hf::duration until{0};
  double share = 1.0;
  hf::duration takes{0};
  bool fails = false;
};

/// The service that the calls go to.
struct upstream {
  unsigned slots = 1;
  unsigned queue = 1'000'000'000;
  hf::queue_order order = hf::queue_order::fifo;
  bool work_goes_on = true;
  service_time takes;
  std::vector<brown_out> brown_outs;
};

/// Who calls: sessions that think between their calls, or arrivals at random.
struct clients {
  unsigned sessions = 0;
  hf::duration think{0};
  double per_second = 0.0;
};

/// Calls to the server that do without the service: at random, and each takes its time.
struct other_route {
  double per_second = 0.0;
  service_time takes;
};

/// Our own server: the calls are requests to it, each of which takes a worker and asks the service.
struct server {
  unsigned workers = 1;
  other_route other;
};

/// One experiment.
struct scenario {
  std::string about;
  hf::duration lasts = std::chrono::minutes(1);
  hf::duration deadline{0};  ///< Of each call; zero: none. A server does not notice it.
  std::uint64_t seed = 1;
  upstream service;
  lab::clients clients;
  std::optional<lab::server> server;  ///< Between the clients and the service.
};

/// Reads a scenario from JSON. Throws `hf::invalid_options` that lists every fault as
/// `path: reason`.
scenario read_scenario(std::string_view json);

}  // namespace lab
