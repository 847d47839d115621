// SPDX-License-Identifier: BSL-1.0
// A scenario of the outage lab is refused with reasons, or can be run.
#include "scenario.hpp"

#include <holdfast/invalid_options.hpp>

#include "text.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const lab::scenario s = lab::read_scenario(fuzz::text_of(data, size));
    fuzz::require(s.service.slots > 0, "there is a slot");
    fuzz::require((s.clients.sessions > 0) != (s.clients.per_second > 0), "there are clients");
    if (s.server) {
      fuzz::require(s.server->workers > 0, "somebody works");
      fuzz::require(s.server->other.per_second > 0, "the other route is called");
    }
    fuzz::require(s.lasts >= std::chrono::seconds(1), "it lasts");
  } catch (const holdfast::invalid_options& e) {
    fuzz::require(!e.faults().empty(), "a refusal has its reasons");
  }
  return 0;
}
