// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_POST_MEMORY_HPP
#define HOLDFAST_DETAIL_POST_MEMORY_HPP

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <cstddef>
#include <new>
#include <utility>

namespace holdfast::detail {

/// The memory that Asio takes to hand one function to an executor, set aside while there is still
/// somebody who can be told that there is none: whoever ends a wait cannot.
class post_memory {
 public:
  post_memory() noexcept = default;
  post_memory(post_memory&& other) noexcept
      : blocks_(std::exchange(other.blocks_, {})), held_(std::exchange(other.held_, 0)) {}
  post_memory& operator=(post_memory&& other) noexcept {
    std::swap(blocks_, other.blocks_);
    std::swap(held_, other.held_);
    return *this;
  }
  ~post_memory() {
    while (held_ > 0) free(take());
  }

  /// What an executor takes: one block for a context, two for a strand over one. None for any
  /// other: what it would allocate cannot be known.
  static unsigned blocks_for(const boost::asio::any_io_executor& executor) noexcept;
  static constexpr unsigned most_blocks = 2;

  /// Holds at least so many blocks. Throws `std::bad_alloc`.
  void reserve(unsigned blocks) {
    if (held_ < blocks) [[unlikely]] allocate(blocks);
  }

  /// Hands a block over, to be freed with `free`.
  void* take() noexcept { return blocks_[--held_]; }
  /// A block that was not set aside. Throws `std::bad_alloc`.
  static void* allocate_block();
  static void free(void* block) noexcept;

  static constexpr std::size_t block_size = 160;

 private:
  void allocate(unsigned blocks);

  std::array<void*, most_blocks> blocks_{};
  unsigned held_ = 0;
};

/// Allocates such blocks. If one thread posts and another runs what it posts, the blocks come back
/// to the first thread in batches. Asio's own allocator would allocate anew for each.
template <class T>
struct post_allocator {
  using value_type = T;

  post_allocator() noexcept = default;
  template <class U>
  post_allocator(const post_allocator<U>&) noexcept {}

  T* allocate(std::size_t n) {
    static_assert(alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
    return static_cast<T*>(fits(n) ? post_memory::allocate_block() : ::operator new(n * sizeof(T)));
  }
  void deallocate(T* p, std::size_t n) noexcept {
    fits(n) ? post_memory::free(p) : ::operator delete(p);
  }

  friend bool operator==(const post_allocator&, const post_allocator&) noexcept { return true; }

 private:
  static constexpr bool fits(std::size_t n) noexcept {
    return n <= post_memory::block_size / sizeof(T);
  }
};
template <>
struct post_allocator<void> {
  using value_type = void;
  friend bool operator==(const post_allocator&, const post_allocator&) noexcept { return true; }
};

}  // namespace holdfast::detail

#endif
