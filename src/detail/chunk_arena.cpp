// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <holdfast/detail/chunk_arena.hpp>
#include <new>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace holdfast::detail {

std::byte* chunk_arena::take() {
  const std::lock_guard lock(mutex_);
  if (used_chunks_ == block_chunks_) {
    const std::size_t most = largest_block / chunk_bytes_;
    const std::size_t chunks = std::min(std::max<std::size_t>(block_chunks_ * 2, 1), most);
    const bool large = chunks == most;
    const std::size_t bytes = large ? largest_block : chunks * chunk_bytes_;
    std::unique_ptr<std::byte, free_block> block(
        static_cast<std::byte*>(std::aligned_alloc(large ? largest_block : 32, bytes)));
    if (!block) throw std::bad_alloc();
#if defined(__linux__)
    // Without effect where the system has none: it is asked, and the answer not needed.
    if (large) static_cast<void>(::madvise(block.get(), bytes, MADV_HUGEPAGE));
#endif
    blocks_.push_back(std::move(block));
    block_chunks_ = chunks;
    used_chunks_ = 0;
  }
  return blocks_.back().get() + chunk_bytes_ * used_chunks_++;
}

}  // namespace holdfast::detail
