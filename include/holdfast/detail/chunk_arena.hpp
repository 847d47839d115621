// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_CHUNK_ARENA_HPP
#define HOLDFAST_DETAIL_CHUNK_ARENA_HPP

#include <cstddef>
#include <cstdlib>
#include <holdfast/detail/sync.hpp>
#include <memory>
#include <vector>

namespace holdfast::detail {

/// Hands out chunks of one size, cut from blocks that grow to 2 MB: then the system is asked for
/// huge pages, since a look at a random place in much memory is mostly a look for its page.
///
/// Chunks go back all at once, with the arena. Thread safety: safe.
class chunk_arena {
 public:
  /// `chunk_bytes` is at most a 2 MB block, and a multiple of 32.
  explicit chunk_arena(std::size_t chunk_bytes) noexcept : chunk_bytes_(chunk_bytes) {}

  /// Memory for one chunk, aligned to 32 bytes. Throws `std::bad_alloc`.
  std::byte* take();

 private:
  static constexpr std::size_t largest_block = std::size_t{2} << 20;

  struct free_block {
    void operator()(std::byte* b) const noexcept { std::free(b); }
  };

  const std::size_t chunk_bytes_;
  sync::mutex mutex_;
  std::vector<std::unique_ptr<std::byte, free_block>> blocks_;
  std::size_t block_chunks_ = 0;  // in the last block
  std::size_t used_chunks_ = 0;
};

}  // namespace holdfast::detail

#endif
