// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: a hedge around a fallback would run the fallback beside the call it stands in for; add .with(hedge) before .fallback(...).
#include <holdfast/resilient.hpp>

namespace hf = holdfast;

int main() {
  auto guard = hf::pipeline().fallback(0).with(hf::hedge());
}
