// SPDX-License-Identifier: BSL-1.0
#include <holdfast/detail/option_faults.hpp>
#include <holdfast/testing/load.hpp>

namespace holdfast::testing::detail {

void check(const closed_loop& loop) {
  holdfast::detail::option_faults faults;
  faults.at_least("think", loop.think, duration::zero());
  faults.at_least("lasting", loop.lasting, duration::zero());
  faults.raise_if_any("closed loop");
}

void check(const open_loop& loop) {
  holdfast::detail::option_faults faults;
  faults.between("per_second", loop.per_second, 1e-6, 1e6);
  faults.at_least("lasting", loop.lasting, duration::zero());
  faults.raise_if_any("open loop");
}

}  // namespace holdfast::testing::detail
