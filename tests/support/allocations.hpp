// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_TESTS_SUPPORT_ALLOCATIONS_HPP
#define HOLDFAST_TESTS_SUPPORT_ALLOCATIONS_HPP

#include <cstdint>

namespace support {

/// Heap allocations of this program so far, by any form of `operator new` and by `aligned_alloc`,
/// from which Asio takes its coroutine frames, on any thread.
std::uint64_t allocations() noexcept;

}  // namespace support

#endif
