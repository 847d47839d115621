// SPDX-License-Identifier: BSL-1.0
// A configuration is refused with reasons, or has no fault.
#include <holdfast/invalid_options.hpp>
#include <holdfast/read_configuration.hpp>

#include "text.hpp"

namespace hf = holdfast;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const hf::configuration c = hf::read_configuration(fuzz::text_of(data, size));
    fuzz::require(hf::faults_of(c).empty(), "what is read is valid");
  } catch (const hf::invalid_options& e) {
    fuzz::require(!e.faults().empty(), "a refusal has its reasons");
    for (const std::string& f : e.faults()) fuzz::require(!f.empty(), "a reason says something");
  }
  return 0;
}
