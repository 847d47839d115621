// SPDX-License-Identifier: BSL-1.0
#include "pairs.hpp"

void gen::add_pairs_1(catalogue& c) {
  add_pairs_around<timeout_part>(c);
  add_pairs_around<retry_part>(c);
}
