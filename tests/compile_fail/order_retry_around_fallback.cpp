// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: a retry around a fallback never sees a failure, the fallback has answered it; add .with(hf::retry{...}) before .fallback(...).
#include <holdfast/resilient.hpp>

namespace hf = holdfast;

int main() {
  // [wrong]
  auto guard = hf::pipeline().fallback(0).with(hf::retry{});
  // [/wrong]
}
