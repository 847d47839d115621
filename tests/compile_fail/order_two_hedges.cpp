// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: two hedges in one stack multiply the attempts; keep one of them.
#include <holdfast/resilient.hpp>

namespace hf = holdfast;

int main() {
  auto guard = hf::pipeline().with(hf::hedge()).with(hf::timeout{}).with(hf::hedge());
}
