// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: two retries in one stack multiply the attempts; keep one of them.
#include <holdfast/resilient.hpp>

namespace hf = holdfast;

int main() {
  auto guard = hf::pipeline().with(hf::retry{}).with(hf::hedge()).with(hf::retry{});
}
