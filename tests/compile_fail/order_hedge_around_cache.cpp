// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: a hedge around a cache waits twice for the same flight; add .with(hedge) before .with(cache).
#include <holdfast/resilient.hpp>
#include <string>

namespace hf = holdfast;

int main() {
  auto guard = hf::pipeline().with(hf::cache<std::string>()).with(hf::hedge());
}
