// SPDX-License-Identifier: BSL-1.0
#include "pairs.hpp"

void gen::add_pairs_6(catalogue& c) {
  add_pairs_around<shedder_part>(c);
  add_pairs_around<chaos_part>(c);
}
