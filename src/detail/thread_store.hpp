// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_THREAD_STORE_HPP
#define HOLDFAST_DETAIL_THREAD_STORE_HPP

#include <cstddef>
#include <mutex>
#include <new>
#include <utility>

namespace holdfast::detail {

/// Memory of one size that is not in use: some pieces per thread, so that what comes and goes at an
/// even pace allocates nothing. `Tag` tells the stores apart.
///
/// If one thread takes pieces and another gives them back, the second hands them on to the first
/// through a depot, a batch at a time. Cost of a piece: two instructions, and a lock for each batch.
///
/// Empty where Asio does not recycle its frames either, so that a sanitizer sees what is stale.
template <class Tag, std::size_t Size>
class thread_store {
 public:
  /// Null where there is no memory.
  static void* take() noexcept {
    if (store_.size == 0 && !refill()) return ::operator new(Size, std::nothrow);
    return store_.kept[--store_.size];
  }

  static void give_back(void* p) noexcept {
    if (store_.closed || (store_.size == capacity && !spill())) return ::operator delete(p);
    if (store_.size == 0) close_at_thread_exit();
    store_.kept[store_.size++] = p;
  }

 private:
#ifdef BOOST_ASIO_DISABLE_AWAITABLE_FRAME_RECYCLING
  static constexpr unsigned capacity = 0;
#else
  static constexpr unsigned capacity = 64;
#endif
  static constexpr unsigned batch = capacity / 2;
  static constexpr unsigned most_batches = 64;

  struct pieces {
    void* kept[capacity + 1];
    unsigned size;
    bool closed;
  };

  /// A piece in the depot, linked to the next one of its batch and to the next batch.
  struct piece {
    piece* next;
    piece* next_batch;
  };
  static_assert(Size >= sizeof(piece));

  struct depot {
    std::mutex mutex;
    piece* batches = nullptr;
    unsigned count = 0;
  };

  /// Takes a batch out of the depot; false if that is empty.
  [[gnu::noinline]] static bool refill() noexcept {
    if (store_.closed) return false;
    piece* first = nullptr;
    {
      const std::lock_guard lock(depot_.mutex);
      if (!depot_.batches) return false;
      first = std::exchange(depot_.batches, depot_.batches->next_batch);
      --depot_.count;
    }
    close_at_thread_exit();
    for (; first; first = first->next) store_.kept[store_.size++] = first;
    return true;
  }

  /// Hands a batch over to the depot; false if that is full.
  [[gnu::noinline]] static bool spill() noexcept {
    if (batch == 0) return false;
    const std::lock_guard lock(depot_.mutex);
    if (depot_.count == most_batches) return false;
    piece* first = nullptr;
    for (unsigned i = 0; i < batch; ++i) {
      first = ::new (store_.kept[--store_.size]) piece{first, nullptr};
    }
    first->next_batch = std::exchange(depot_.batches, first);
    ++depot_.count;
    return true;
  }

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
  static inline constinit depot depot_;
};

}  // namespace holdfast::detail

#endif
