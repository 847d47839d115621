// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: a circuit breaker around a fallback never sees a failure, the fallback has answered it; add .with(breaker) before .fallback(...).
#include <holdfast/resilient.hpp>

namespace hf = holdfast;

int main() {
  const hf::circuit_breaker breaker;
  auto guard = hf::pipeline().fallback(0).with(breaker);
}
