// SPDX-License-Identifier: BSL-1.0
// What servers say of when to come again: nothing that they can say is a negative wait, and what is
// no number is no hint.
#include <algorithm>
#include <holdfast/retry_after.hpp>

#include "text.hpp"

namespace hf = holdfast;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  const std::chrono::sys_seconds now{std::chrono::seconds(1'700'000'000)};
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  const bool has_digit = std::any_of(text.begin(), text.end(), digit);
  for (const auto hint : {hf::parse_retry_after(text, now), hf::parse_retry_after_ms(text),
                          hf::parse_delay(text)}) {
    if (!hint) continue;
    fuzz::require(*hint >= hf::duration::zero(), "a hint is not negative");
    fuzz::require(has_digit, "a hint has a number");
  }
  if (const auto date = hf::parse_http_date(text, now)) {
    const auto hint = hf::parse_retry_after(text, now);
    fuzz::require(hint.has_value(), "a date is a hint");
    fuzz::require((*hint == hf::duration::zero()) == (*date <= now), "a date that has passed is 0");
  }
  return 0;
}
