// SPDX-License-Identifier: BSL-1.0
#include "pairs.hpp"

void gen::add_pairs_2(catalogue& c) {
  add_pairs_around<breaker_part>(c);
  add_pairs_around<family_part>(c);
}
