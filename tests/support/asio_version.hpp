// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/version.hpp>

namespace test {

/// Whether a coroutine that is cancelled between `co_spawn` and its first step hears so itself. In
/// earlier Asios the cancellation comes out of the context's `run`, as an exception.
inline constexpr bool hears_before_first_step = BOOST_VERSION >= 108600;

}  // namespace test
