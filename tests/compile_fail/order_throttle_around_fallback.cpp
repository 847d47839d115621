// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: a throttle around a fallback never sees a failure, the fallback has answered it; add .with(throttle) before .fallback(...).
#include <holdfast/resilient.hpp>

namespace hf = holdfast;

int main() {
  const hf::throttle throttle;
  auto guard = hf::pipeline().fallback(0).with(throttle);
}
