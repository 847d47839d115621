// SPDX-License-Identifier: BSL-1.0
#include "pairs.hpp"

void gen::add_pairs_5(catalogue& c) {
  add_pairs_around<throttle_part>(c);
  add_pairs_around<adaptive_part>(c);
}
