// SPDX-License-Identifier: BSL-1.0
// What the demo's server is sent, and what its providers answer: read, or refused.
#include "chat.hpp"

#include <holdfast/invalid_options.hpp>

#include "text.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  try {
    const demo::question q = demo::parse_question(std::string(text));
    fuzz::require(!q.text.empty(), "a question has a text");
  } catch (const demo::bad_request&) {
  }
  try {
    demo::response res{demo::http::status::ok, 11};
    res.body() = text;
    static_cast<void>(demo::completion_text(res));
  } catch (const demo::provider_error&) {
  }
  fuzz::require(demo::user_of(text).size() <= size, "a user is a part of the target");
  return 0;
}
