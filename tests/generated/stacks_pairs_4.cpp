// SPDX-License-Identifier: BSL-1.0
#include "pairs.hpp"

void gen::add_pairs_4(catalogue& c) {
  add_pairs_around<hedge_part>(c);
  add_pairs_around<cache_part>(c);
}
