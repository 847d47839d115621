// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_RESUMPTION_HPP
#define HOLDFAST_DETAIL_RESUMPTION_HPP

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/post.hpp>
#include <cstddef>
#include <holdfast/detail/sync.hpp>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace holdfast::detail {

/// A suspended coroutine, or any other `void()` handler, held without its type. The handler of an
/// awaiting `asio::awaitable` fits into the object; larger ones are allocated.
class resumption {
 public:
  resumption() noexcept = default;
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

  /// Runs the handler through its own executor, never on this stack.
  void post() {
    resumption self(std::move(*this));
    self.actions_->post(self.buffer_);
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
    void (*post)(void*);
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
      [](void* p) {
        auto executor = boost::asio::get_associated_executor(at<H>(p));
        boost::asio::post(executor, std::move(at<H>(p)));
      },
      [](void* to, void* from) noexcept {
        ::new (to) H(std::move(at<H>(from)));
        at<H>(from).~H();
      },
      [](void* p) noexcept { at<H>(p).~H(); }};

  void take(resumption& other) noexcept {
    pins_ = std::exchange(other.pins_, nullptr);
    actions_ = std::exchange(other.actions_, nullptr);
    if (actions_) actions_->move(buffer_, other.buffer_);
  }

  const actions* actions_ = nullptr;
  sync::atomic<unsigned>* pins_ = nullptr;
  alignas(std::max_align_t) std::byte buffer_[capacity];
};

}  // namespace holdfast::detail

#endif
