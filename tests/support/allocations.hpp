// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_TESTS_SUPPORT_ALLOCATIONS_HPP
#define HOLDFAST_TESTS_SUPPORT_ALLOCATIONS_HPP

#include <cstdint>

namespace support {

/// Heap allocations of this program so far, by any form of `operator new` and by `aligned_alloc`,
/// from which Asio takes its coroutine frames, on any thread.
std::uint64_t allocations() noexcept;

/// Blocks of memory from `operator new` that nobody has deleted yet.
std::int64_t live_blocks() noexcept;

/// Makes allocations fail, while it lives: those of this thread, after the first `after`.
class no_memory {
 public:
  enum class lasting { once, from_then_on };
  no_memory(std::uint64_t after, lasting l) noexcept;
  ~no_memory() { stop(); }
  no_memory(const no_memory&) = delete;

  /// Ends it early.
  void stop() noexcept;
  /// Whether an allocation has failed.
  bool has_failed() const noexcept;
};

}  // namespace support

#endif
