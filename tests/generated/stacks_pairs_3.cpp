// SPDX-License-Identifier: BSL-1.0
#include "pairs.hpp"

void gen::add_pairs_3(catalogue& c) {
  add_pairs_around<bulkhead_part>(c);
  add_pairs_around<limiter_part>(c);
}
