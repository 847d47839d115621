// SPDX-License-Identifier: BSL-1.0
#include <boost/asio/execution/allocator.hpp>
#include <boost/asio/execution/blocking.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/require.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <holdfast/detail/home_executor.hpp>
#include <holdfast/detail/resumption.hpp>
#include <new>

#include "thread_store.hpp"

namespace holdfast::detail {

namespace asio = boost::asio;

namespace {

using io_executor = asio::io_context::executor_type;
using pool_executor = asio::thread_pool::executor_type;

struct blocks_to_post;
using store = thread_store<blocks_to_post, post_memory::block_size>;

/// Hands out what was set aside. Asio copies it into its operations, which outlive the memory's
/// owner and only free.
template <class T>
struct block_allocator {
  using value_type = T;

  explicit block_allocator(post_memory& m) noexcept : memory(&m) {}
  template <class U>
  block_allocator(const block_allocator<U>& other) noexcept : memory(other.memory) {}

  T* allocate(std::size_t) noexcept {
    static_assert(sizeof(T) <= post_memory::block_size);
    static_assert(alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
    return static_cast<T*>(memory->take());
  }
  void deallocate(T* p, std::size_t) noexcept { post_memory::free(p); }

  template <class U>
  friend bool operator==(const block_allocator&, const block_allocator<U>&) noexcept {
    return true;
  }

  post_memory* memory;
};

struct resumes {
  resumption handler;
  void operator()() { handler.resume(); }
};

/// Calls `use` with the executor as what it is, if that is one whose needs are known.
template <class Use>
bool with_known(const asio::any_io_executor& executor, Use use) {
  const auto try_as = [&]<class Executor>(unsigned blocks) {
    const auto* const e = executor.target<Executor>();
    if (e) use(*e, blocks);
    return e != nullptr;
  };
  return try_as.template operator()<io_executor>(1) ||
         try_as.template operator()<asio::strand<io_executor>>(2) ||
         try_as.template operator()<pool_executor>(1) ||
         try_as.template operator()<asio::strand<pool_executor>>(2);
}

/// The executor that a function for `executor` is handed to in the end: the target of a parked
/// chain's, or itself.
const asio::any_io_executor& handed_to(const asio::any_io_executor& executor) noexcept {
  const auto* const chain = executor.target<home_executor>();
  return chain ? handed_to(chain->where().executor()) : executor;
}

}  // namespace

unsigned post_memory::blocks_for(const asio::any_io_executor& executor) noexcept {
  unsigned wanted = 0;
  with_known(handed_to(executor), [&](const auto&, unsigned blocks) { wanted = blocks; });
  return wanted;
}

void post_memory::allocate(unsigned blocks) {
  while (held_ < blocks) blocks_[held_++] = allocate_block();
}

void* post_memory::allocate_block() {
  void* const b = store::take();
  if (!b) throw std::bad_alloc();
  return b;
}

void post_memory::free(void* b) noexcept { store::give_back(b); }

bool resumption::hand_over(const asio::any_io_executor& executor, bool later) {
  const auto* const chain = executor.target<home_executor>();
  const auto& target = chain ? chain->where().executor() : executor;
  return with_known(target, [&](const auto& known, unsigned blocks) {
    memory_.reserve(blocks);
    resumption handler(std::move(*this));
    post_memory memory = std::move(handler.memory_);
    resumption last;  // keeps the pins until the handler has been handed over
    last.pins_ = std::exchange(handler.pins_, nullptr);
    const auto submit = [&](bool never, auto function) {
      const auto with_memory =
          asio::require(known, asio::execution::allocator(block_allocator<void>(memory)));
      if (never) {
        asio::require(with_memory, asio::execution::blocking.never).execute(std::move(function));
      } else {
        with_memory.execute(std::move(function));
      }
    };
    if (chain) {
      chain->execute(resumes{std::move(handler)}, later, submit);
    } else {
      submit(later, resumes{std::move(handler)});
    }
  });
}

/// Where the handler belongs to a parked chain that is at home on this thread, it runs under the
/// chain's gate, and needs no memory.
bool resumption::resume_in_chain() {
  const auto executor = actions_->executor(buffer_);
  const auto* const chain = executor.target<home_executor>();
  if (!chain || !chain->runs_here()) return false;
  auto run = [self = std::move(*this)]() mutable { self.resume(); };
  chain->run(run);
  return true;
}

void resumption::reserve_at_any_cost() noexcept {
  for (unsigned looks = 0;; ++looks) {
    try {
      return reserve();
    } catch (const std::bad_alloc&) {
      sync::relax(looks);
    }
  }
}

void resumption::post() {
  if (hand_over(actions_->executor(buffer_), true)) return;
  resumption self(std::move(*this));
  self.actions_->post(self.buffer_);
}

void resumption::dispatch() {
  if (hand_over(actions_->executor(buffer_), false)) return;
  resumption self(std::move(*this));
  self.actions_->dispatch(self.buffer_);
}

}  // namespace holdfast::detail
