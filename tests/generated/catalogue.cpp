// SPDX-License-Identifier: BSL-1.0
#include <algorithm>

#include "stack.hpp"

namespace gen {

const std::vector<catalogue::entry>& catalogue::all() {
  static const catalogue c = [] {
    catalogue made;
    add_wide_stacks(made);
    add_deep_stacks(made);
    add_pairs_1(made);
    add_pairs_2(made);
    add_pairs_3(made);
    add_pairs_4(made);
    add_pairs_5(made);
    add_pairs_6(made);
    add_pairs_7(made);
    return made;
  }();
  return c.entries_;
}

const catalogue::entry* catalogue::find(std::string_view letters) {
  const auto found = std::ranges::find(all(), letters, &entry::letters);
  return found == all().end() ? nullptr : &*found;
}

}  // namespace gen
