// SPDX-License-Identifier: BSL-1.0
//
// One side of the comparison: two providers and a service in front of them.
#pragma once

#include "server_thread.hpp"

#include <cstdint>

namespace demo {

enum class protection { with_holdfast, none };

/// All of it is up when the constructor returns, and down when the destructor does. The threads
/// share nothing: whoever wants to know or to change something asks by HTTP, as across machines.
class stand {
 public:
  /// Throws boost::system::system_error when the service's port is in use.
  stand(protection kind, std::uint16_t service_port, std::uint64_t seed);

  std::uint16_t service_port() const { return service_port_; }
  std::uint16_t gpt4_port() const { return gpt4_port_; }
  std::uint16_t gpt35_port() const { return gpt35_port_; }

 private:
  server_thread providers_;
  server_thread service_;
  std::uint16_t gpt4_port_;
  std::uint16_t gpt35_port_;
  std::uint16_t service_port_;
};

}  // namespace demo
