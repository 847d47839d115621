// SPDX-License-Identifier: BSL-1.0
#include <cmath>
#include <holdfast/testing/dice.hpp>

namespace holdfast::testing {

duration dice::exponential(duration mean) {
  return duration(
      static_cast<duration::rep>(-std::log(unit()) * static_cast<double>(mean.count())));
}

}  // namespace holdfast::testing
