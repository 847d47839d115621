// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: an adaptive limit around a fallback measures two services as one; add .with(limit) before .fallback(...).
#include <holdfast/resilient.hpp>

namespace hf = holdfast;

int main() {
  const hf::adaptive_limit limit;
  auto guard = hf::pipeline().fallback(0).with(limit);
}
