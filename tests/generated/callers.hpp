// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "trial.hpp"

namespace gen {

/// Starts an operation as its client says, from outside of the context.
void start_client(world& w, const any_stack& stack, int op);

}  // namespace gen
