// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: a cache around a fallback keeps the fallback's answers as if they were the service's; add .with(cache) before .fallback(...).
#include <holdfast/resilient.hpp>

namespace hf = holdfast;

int main() {
  hf::cache<int> cache;
  auto guard = hf::pipeline().fallback(0).with(cache);
}
