// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: two caches in one stack keep every answer twice and for longer than either is told to; keep one of them.
#include <holdfast/resilient.hpp>

namespace hf = holdfast;

int main() {
  hf::cache<int> cache;
  auto guard = hf::pipeline().with(cache).with(hf::timeout{}).with(cache);
}
