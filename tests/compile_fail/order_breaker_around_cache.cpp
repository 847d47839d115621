// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: a circuit breaker around a cache counts its answers as the service's, and when open keeps them from the caller; add .with(breaker) before .with(cache).
#include <holdfast/resilient.hpp>

namespace hf = holdfast;

int main() {
  hf::cache<int> cache;
  auto guard = hf::pipeline().with(cache).with(hf::circuit_breaker());
}
