// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_RESUMPTION_HPP
#define HOLDFAST_DETAIL_RESUMPTION_HPP

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <cstddef>
#include <holdfast/detail/post_memory.hpp>
#include <holdfast/detail/sync.hpp>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace holdfast::detail {

/// The executor of a handler, for `post_memory` to know what it needs; empty if it is none for I/O.
template <class Handler>
boost::asio::any_io_executor executor_of(const Handler& handler) {
  using executor = boost::asio::associated_executor_t<Handler>;
  if constexpr (std::is_convertible_v<executor, boost::asio::any_io_executor>) {
    return boost::asio::get_associated_executor(handler);
  } else {
    return {};
  }
}

/// A function for an executor that what it captures keeps alive.
template <class Function>
struct function_on {
  using executor_type = boost::asio::any_io_executor;
  const executor_type& get_executor() const noexcept { return *executor; }
  void operator()() { function(); }

  const executor_type* executor;
  Function function;
};

/// A suspended coroutine, or any other `void()` handler, held without its type. The handler of an
/// awaiting `asio::awaitable` fits into the object; larger ones are allocated.
class resumption {
 public:
  resumption() noexcept = default;

  /// A function of ours, for an executor that what it captures keeps alive. Allocates nothing.
  template <class Function>
  resumption(const boost::asio::any_io_executor& executor, Function function) noexcept {
    static_assert(fits<function_on<Function>>);
    store(function_on<Function>{&executor, std::move(function)});
  }
  resumption(resumption&& other) noexcept { take(other); }
  resumption& operator=(resumption&& other) noexcept {
    if (this != &other) {
      drop();
      take(other);
    }
    return *this;
  }
  ~resumption() {
    if (actions_) actions_->destroy(buffer_);
    if (pins_) pins_->fetch_sub(1, std::memory_order_release);
  }

  /// Counts down when the handler has been posted or destroyed.
  void hold(sync::atomic<unsigned>& pins) noexcept { pins_ = &pins; }

  /// Takes the handler, or throws and leaves it as it is.
  template <class Handler>
  void store(Handler&& handler) {
    using stored = std::conditional_t<fits<std::decay_t<Handler>>, std::decay_t<Handler>,
                                      boxed<std::decay_t<Handler>>>;
    drop();
    ::new (static_cast<void*>(buffer_)) stored(std::forward<Handler>(handler));
    actions_ = &actions_for<stored>;
  }

  explicit operator bool() const noexcept { return actions_ != nullptr; }

  /// Runs the handler here and now, on this stack.
  void resume() {
    resumption self(std::move(*this));
    self.actions_->resume(self.buffer_);
  }

  /// Sets aside the memory that `post` takes, so that it cannot fail. Throws `std::bad_alloc`.
  void reserve() { memory_.reserve(post_memory::blocks_for(actions_->executor(buffer_))); }
  void reserve(post_memory&& memory) noexcept { memory_ = std::move(memory); }

  /// The same, for what must not be lost: waits until there is memory.
  void reserve_at_any_cost() noexcept;

  /// Runs the handler through its own executor, never on this stack. After `reserve` it does not
  /// throw on the executors of a context and on strands over these; without, it throws where no
  /// memory is left, and on those executors the handler stays here.
  void post();

  /// The same, or on this stack where the executor allows that now.
  void dispatch();

  /// As `post`, or on this stack where no memory is left.
  void post_or_resume() {
    try {
      reserve();
    } catch (const std::bad_alloc&) {
      return resume();
    }
    post();
  }

  /// As `dispatch`, or on this stack where no memory is left.
  void dispatch_or_resume() {
    if (resume_in_chain()) return;
    try {
      reserve();
    } catch (const std::bad_alloc&) {
      return resume();
    }
    dispatch();
  }

  /// Destroys the handler without running it; what it would have resumed is destroyed with it.
  /// It is moved out first, since the handler may own the object that holds it.
  void drop() noexcept {
    if (actions_) const resumption dropped(std::move(*this));
  }

 private:
  static constexpr std::size_t capacity = 32;

  template <class H>
  static constexpr bool fits = sizeof(H) <= capacity &&
                               alignof(H) <= alignof(std::max_align_t) &&
                               std::is_nothrow_move_constructible_v<H>;

  template <class H>
  struct boxed {
    explicit boxed(H&& h) : handler(std::make_unique<H>(std::move(h))) {}
    explicit boxed(const H& h) : handler(std::make_unique<H>(h)) {}
    void operator()() {
      // The memory is released before the handler runs, as Asio asks of its operations.
      H h(std::move(*handler));
      handler.reset();
      std::move(h)();
    }
    using executor_type = boost::asio::associated_executor_t<H>;
    executor_type get_executor() const noexcept {
      return boost::asio::get_associated_executor(*handler);
    }
    std::unique_ptr<H> handler;
  };

  struct actions {
    void (*resume)(void*);
    boost::asio::any_io_executor (*executor)(const void*);
    void (*post)(void*);
    void (*dispatch)(void*);
    void (*move)(void* to, void* from) noexcept;
    void (*destroy)(void*) noexcept;
  };

  template <class H>
  static H& at(void* p) noexcept {
    return *std::launder(static_cast<H*>(p));
  }

  template <class H>
  static constexpr actions actions_for{
      [](void* p) { std::move(at<H>(p))(); },
      [](const void* p) { return executor_of(*std::launder(static_cast<const H*>(p))); },
      [](void* p) {
        auto executor = boost::asio::get_associated_executor(at<H>(p));
        boost::asio::post(executor, std::move(at<H>(p)));
      },
      [](void* p) {
        auto executor = boost::asio::get_associated_executor(at<H>(p));
        boost::asio::dispatch(executor, std::move(at<H>(p)));
      },
      [](void* to, void* from) noexcept {
        ::new (to) H(std::move(at<H>(from)));
        at<H>(from).~H();
      },
      [](void* p) noexcept { at<H>(p).~H(); }};

  bool hand_over(const boost::asio::any_io_executor& executor, bool later);
  bool resume_in_chain();

  void take(resumption& other) noexcept {
    pins_ = std::exchange(other.pins_, nullptr);
    actions_ = std::exchange(other.actions_, nullptr);
    memory_ = std::move(other.memory_);
    if (actions_) actions_->move(buffer_, other.buffer_);
  }

  const actions* actions_ = nullptr;
  sync::atomic<unsigned>* pins_ = nullptr;
  post_memory memory_;
  alignas(std::max_align_t) std::byte buffer_[capacity];
};

}  // namespace holdfast::detail

#endif
