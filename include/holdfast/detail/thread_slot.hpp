// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_THREAD_SLOT_HPP
#define HOLDFAST_DETAIL_THREAD_SLOT_HPP

#include <cstdint>

namespace holdfast::detail {

/// A thread that has no slot of its own: there are too many, or the thread is ending.
inline constexpr std::uint32_t no_slot = 0xffff'fffe;
inline constexpr std::uint32_t slot_unknown = 0xffff'ffff;

/// How many slots there are.
inline constexpr std::uint32_t slot_count = 256;

inline constinit thread_local std::uint32_t this_thread_slot = slot_unknown;

/// Takes the lowest free slot until the thread ends. Out of line: once per thread.
std::uint32_t take_thread_slot() noexcept;

/// A small number that no other living thread has, or `no_slot`. What a thread wrote under its slot
/// happens before what the next owner of the slot reads.
inline std::uint32_t thread_slot() noexcept {
  const std::uint32_t slot = this_thread_slot;
  if (slot == slot_unknown) [[unlikely]] return take_thread_slot();
  return slot;
}

/// How many stripes suit this machine: two for each processor, since not every thread that has a
/// slot calls; a power of two, from 4 to `most`.
std::uint32_t suitable_stripes(std::uint32_t most) noexcept;

}  // namespace holdfast::detail

#endif
