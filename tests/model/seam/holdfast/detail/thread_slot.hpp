// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_THREAD_SLOT_HPP
#define HOLDFAST_DETAIL_THREAD_SLOT_HPP

// Stands in for the library's header of this name where kernels are explored, since fibers share
// what is thread-local.
#include <cstdint>
#include <holdfast/detail/sync.hpp>

namespace holdfast::detail {

inline constexpr std::uint32_t no_slot = 0xffff'fffe;

/// The slot of a model's first thread. The stripes are as few as there may be, so that a model can
/// have threads with stripes of their own and threads that share some.
inline std::uint32_t first_thread_slot = 0;

inline std::uint32_t thread_slot() noexcept { return first_thread_slot + rl::thread_index(); }

inline std::uint32_t suitable_stripes(std::uint32_t most) noexcept { return most < 4 ? most : 4; }

}  // namespace holdfast::detail

#endif
