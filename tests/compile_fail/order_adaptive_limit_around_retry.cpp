// SPDX-License-Identifier: BSL-1.0
// expect: holdfast: an adaptive limit around a retry takes the delays for the service's own; add .with(limit) before .with(hf::retry{...}).
#include <holdfast/resilient.hpp>

namespace hf = holdfast;

int main() {
  const hf::adaptive_limit limit;
  auto guard = hf::pipeline().with(hf::retry{}).with(hf::timeout{}).with(limit);
}
