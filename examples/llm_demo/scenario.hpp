// SPDX-License-Identifier: BSL-1.0
//
// The two things the demo does: to serve, and to break providers under load.
#pragma once

#include "options.hpp"

namespace demo {

/// Serves until Ctrl-C. Both return the exit code, and leave nothing running.
int serve(const options& chosen);

/// Two services under the same load, one of them protected, while their providers fall over.
int run_scenario(const options& chosen);

}  // namespace demo
