// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "stack.hpp"

namespace gen {

/// What must hold of every operation that has ended; asked when all of them have.
void check_operations(world& w);

/// What must hold of the stack once no attempt runs any more.
void check_rest(world& w, any_stack& stack);

/// What must hold of the budget that the policies share, if there is one.
void check_budget(world& w, const materials& m);

}  // namespace gen
