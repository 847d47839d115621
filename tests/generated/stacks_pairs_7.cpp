// SPDX-License-Identifier: BSL-1.0
#include "pairs.hpp"

void gen::add_pairs_7(catalogue& c) {
  add_pairs_around<value_part>(c);
  add_pairs_around<link_part>(c);
}
