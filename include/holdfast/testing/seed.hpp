// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_TESTING_SEED_HPP
#define HOLDFAST_TESTING_SEED_HPP

#include <cstdint>

namespace holdfast::testing {

/// The seed of a test: the number in the environment variable HOLDFAST_SEED or, where that is not
/// set, `otherwise`. A test that prints its seed when it fails is repeated with that variable.
/// Throws `invalid_options` where it is set and not a whole number below 2^64.
std::uint64_t seed_or(std::uint64_t otherwise);

}  // namespace holdfast::testing

#endif
