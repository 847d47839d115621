// SPDX-License-Identifier: BSL-1.0
#include "stand.hpp"

#include "provider.hpp"
#include "service.hpp"
#include "unprotected.hpp"

namespace demo {

using namespace std::chrono_literals;

stand::stand(protection kind, std::uint16_t service_port, std::uint64_t seed)
    : gpt4_port_(
          start_provider(providers_.context(),
                         {.model = "gpt-4", .fastest = 20ms, .slowest = 60ms, .seed = seed})),
      gpt35_port_(start_provider(
          providers_.context(),
          {.model = "gpt-3.5", .fastest = 10ms, .slowest = 30ms, .seed = seed + 1})) {
  const chat_options options{
      .port = service_port, .gpt4_port = gpt4_port_, .gpt35_port = gpt35_port_};
  service_port_ = kind == protection::with_holdfast
                      ? start_protected_service(service_.context(), options)
                      : start_unprotected_service(service_.context(), options);
  providers_.run();
  service_.run();
}

}  // namespace demo
