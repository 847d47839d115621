// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_THREAD_STORE_HPP
#define HOLDFAST_DETAIL_THREAD_STORE_HPP

#include <cstddef>
#include <new>

namespace holdfast::detail {

/// Memory of one size that is not in use: a few pieces per thread, so that what comes and goes at an
/// even pace allocates nothing. `Tag` tells the stores apart.
///
/// Empty where Asio does not recycle its frames either, so that a sanitizer sees what is stale.
template <class Tag, std::size_t Size>
class thread_store {
 public:
  /// Null where there is no memory.
  static void* take() noexcept {
    return store_.size > 0 ? store_.kept[--store_.size] : ::operator new(Size, std::nothrow);
  }

  static void give_back(void* p) noexcept {
    // The pieces of other threads may end up here: the bound keeps them from piling up.
    if (store_.size == capacity || store_.closed) return ::operator delete(p);
    if (store_.size == 0) close_at_thread_exit();
    store_.kept[store_.size++] = p;
  }

 private:
#ifdef BOOST_ASIO_DISABLE_AWAITABLE_FRAME_RECYCLING
  static constexpr unsigned capacity = 0;
#else
  static constexpr unsigned capacity = 64;
#endif

  struct pieces {
    void* kept[capacity + 1];
    unsigned size;
    bool closed;
  };

  [[gnu::noinline]] static void close_at_thread_exit() noexcept {
    struct closer {
      ~closer() {
        store_.closed = true;
        while (store_.size > 0) ::operator delete(store_.kept[--store_.size]);
      }
    };
    static thread_local const closer at_exit;
    static_cast<void>(&at_exit);
  }

  // Without a destructor: usable at every moment of the thread's life, also while it ends.
  static inline constinit thread_local pieces store_{};
};

}  // namespace holdfast::detail

#endif
