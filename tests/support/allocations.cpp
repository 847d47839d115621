// SPDX-License-Identifier: BSL-1.0
#include "allocations.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::uint64_t> count{0};
std::atomic<std::int64_t> live{0};

struct shortage {
  bool on = false;
  bool failed = false;
  std::uint64_t left = 0;
  support::no_memory::lasting lasting{};
};
constinit thread_local shortage shortage_of_thread;

/// Counts an allocation; false: it is to fail.
bool allowed() noexcept {
  count.fetch_add(1, std::memory_order_relaxed);
  shortage& s = shortage_of_thread;
  if (!s.on) return true;
  if (s.left > 0) {
    --s.left;
    return true;
  }
  if (s.failed && s.lasting == support::no_memory::lasting::once) return true;
  s.failed = true;
  return false;
}

void* allocate(std::size_t size, std::size_t alignment) noexcept {
  if (size == 0) size = 1;
  void* p = nullptr;
  if (alignment > __STDCPP_DEFAULT_NEW_ALIGNMENT__) {
    p = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  } else if (allowed()) {
    p = std::malloc(size);
  }
  if (p) live.fetch_add(1, std::memory_order_relaxed);
  return p;
}

void* allocate_or_throw(std::size_t size, std::size_t alignment) {
  if (void* p = allocate(size, alignment)) return p;
  throw std::bad_alloc();
}

void release(void* p) noexcept {
  if (p) live.fetch_sub(1, std::memory_order_relaxed);
  std::free(p);
}

constexpr std::size_t plain = __STDCPP_DEFAULT_NEW_ALIGNMENT__;

}  // namespace

// Asio takes the memory of its coroutine frames from here, past operator new.
extern "C" void* __libc_memalign(std::size_t alignment, std::size_t size);
extern "C" void* aligned_alloc(std::size_t alignment, std::size_t size) {
  return allowed() ? __libc_memalign(alignment, size) : nullptr;
}

std::uint64_t support::allocations() noexcept { return count.load(std::memory_order_relaxed); }

std::int64_t support::live_blocks() noexcept { return live.load(std::memory_order_relaxed); }

support::no_memory::no_memory(std::uint64_t after, lasting l) noexcept {
  shortage_of_thread = {.on = true, .left = after, .lasting = l};
}
void support::no_memory::stop() noexcept { shortage_of_thread.on = false; }
bool support::no_memory::has_failed() const noexcept { return shortage_of_thread.failed; }

void* operator new(std::size_t n) { return allocate_or_throw(n, plain); }
void* operator new[](std::size_t n) { return allocate_or_throw(n, plain); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return allocate(n, plain); }
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept { return allocate(n, plain); }
void* operator new(std::size_t n, std::align_val_t a) {
  return allocate_or_throw(n, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t n, std::align_val_t a) {
  return allocate_or_throw(n, static_cast<std::size_t>(a));
}
void* operator new(std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return allocate(n, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return allocate(n, static_cast<std::size_t>(a));
}
void operator delete(void* p) noexcept { release(p); }
void operator delete[](void* p) noexcept { release(p); }
void operator delete(void* p, std::size_t) noexcept { release(p); }
void operator delete[](void* p, std::size_t) noexcept { release(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { release(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { release(p); }
void operator delete(void* p, std::align_val_t) noexcept { release(p); }
void operator delete[](void* p, std::align_val_t) noexcept { release(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { release(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { release(p); }
void operator delete(void* p, std::align_val_t, const std::nothrow_t&) noexcept { release(p); }
void operator delete[](void* p, std::align_val_t, const std::nothrow_t&) noexcept { release(p); }
