// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_SYNC_HPP
#define HOLDFAST_DETAIL_SYNC_HPP

#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>

/// What threads share in Holdfast is of these types. They are those of the standard library, and
/// cost nothing more; the models in tests/model/ put a header in place of this one whose types
/// explore how threads may interleave and what each may see.
namespace holdfast::detail::sync {

using std::atomic;
using std::mutex;

/// Tells threads apart, for the cost of an address.
inline std::uintptr_t this_thread() noexcept {
  static constinit thread_local char mark;
  return reinterpret_cast<std::uintptr_t>(&mark);
}

/// Lets another thread go on, for one that waits for it in a loop; `looks` counts the rounds.
inline void relax(unsigned looks) noexcept {
  if (looks > 64) std::this_thread::yield();
}

/// A lock for a few instructions that call nothing which waits: two instructions where it is free,
/// one of them locked. A thread that finds it taken spins, then yields.
class short_mutex {
 public:
  void lock() noexcept {
    for (unsigned looks = 0; !try_lock(); ++looks) relax(looks);
  }
  bool try_lock() noexcept { return !taken_.exchange(true, std::memory_order_acquire); }
  void unlock() noexcept { taken_.store(false, std::memory_order_release); }

 private:
  atomic<bool> taken_{false};
};

}  // namespace holdfast::detail::sync

#endif
