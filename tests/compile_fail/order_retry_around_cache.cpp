// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: a retry around a cache repeats alone what all who wait for the same answer need; add .with(hf::retry{...}) before .with(cache).
#include <holdfast/resilient.hpp>

namespace hf = holdfast;

int main() {
  hf::cache<int> cache;
  auto guard = hf::pipeline().with(cache).with(hf::retry{});
}
