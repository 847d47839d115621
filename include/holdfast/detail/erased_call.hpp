// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_ERASED_CALL_HPP
#define HOLDFAST_DETAIL_ERASED_CALL_HPP

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <holdfast/call_context.hpp>
#include <holdfast/detail/attempt.hpp>
#include <holdfast/detail/call_traits.hpp>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace holdfast::detail {

/// Holds a call without its type. A call up to the size of a pointer and a string is stored in place.
/// A larger one lives in a block that Asio's threads recycle, so steady state allocates nothing.
template <class U, class Context>
class erased_call {
 public:
  template <class F>
    requires(!std::same_as<F, erased_call>)
  explicit erased_call(F call) : type_(&type_of<F>) {
    if constexpr (in_place<F>) {
      ::new (bytes_) F(std::move(call));
    } else {
      put_apart(std::move(call));
    }
  }
  erased_call(const erased_call& other) : type_(other.type_) { type_->copy(other, *this); }
  erased_call(erased_call&& other) noexcept : type_(other.type_) {
    if (type_->move) {
      type_->move(other, *this);
    } else {
      std::memcpy(bytes_, other.bytes_, sizeof bytes_);
    }
  }
  erased_call& operator=(const erased_call&) = delete;
  ~erased_call() {
    if (type_->destroy) type_->destroy(*this);
  }

  asio::awaitable<U> operator()(Context context) { return type_->invoke(*this, context); }

 private:
  struct type {
    asio::awaitable<U> (*invoke)(erased_call&, Context);
    void (*copy)(const erased_call&, erased_call&);
    void (*move)(erased_call&, erased_call&) noexcept;  // null: its bytes are all there is
    void (*destroy)(erased_call&) noexcept;             // null: nothing to do
  };

  template <class F>
  static constexpr bool in_place = sizeof(F) <= sizeof(void*) + sizeof(std::string) &&
                                   alignof(F) <= alignof(void*) &&
                                   std::is_nothrow_move_constructible_v<F>;
  template <class F>
  static constexpr bool is_bytes = in_place<F> && std::is_trivially_copyable_v<F>;

  template <class F>
  F& as() noexcept {
    if constexpr (in_place<F>) {
      return *std::launder(reinterpret_cast<F*>(bytes_));
    } else {
      return **std::launder(reinterpret_cast<F**>(bytes_));
    }
  }
  template <class F>
  const F& as() const noexcept {
    return const_cast<erased_call*>(this)->as<F>();
  }

  template <class F>
  void put_apart(F&& call) {
    using plain = std::remove_cvref_t<F>;
    asio::recycling_allocator<plain> memory;
    plain* const place = memory.allocate(1);
    try {
      ::new (place) plain(std::forward<F>(call));
    } catch (...) {
      memory.deallocate(place, 1);
      throw;
    }
    ::new (bytes_) plain*(place);
  }

  /// Makes the attempt. A coroutine converts what it gives if that is not a `U`.
  template <class F>
  static asio::awaitable<U> invoke(erased_call& self, Context context) {
    F& call = self.as<F>();
    using value = typename unwrapped<U>::type;
    if constexpr (token_call<F>) {
      return [](F& f, Context c) -> asio::awaitable<U> {
        co_return completion_to_result<value>(co_await f(asio::as_tuple(c.token())));
      }(call, context);
    } else if constexpr (std::same_as<attempt_value_t<F>, U>) {
      return attempt_of(call, context);
    } else {
      return [](auto attempt) -> asio::awaitable<U> {
        co_return to_result<value>(co_await std::move(attempt));
      }(attempt_of(call, context));
    }
  }

  template <class F>
  static void copy(const erased_call& from, erased_call& to) {
    if constexpr (in_place<F>) {
      ::new (to.bytes_) F(from.as<F>());
    } else {
      to.put_apart(from.as<F>());
    }
  }
  template <class F>
  static void move(erased_call& from, erased_call& to) noexcept {
    ::new (to.bytes_) F(std::move(from.as<F>()));
  }
  /// Moves the block. The source keeps no call, and can only be destroyed.
  template <class F>
  static void take(erased_call& from, erased_call& to) noexcept {
    ::new (to.bytes_) F*(std::exchange(*std::launder(reinterpret_cast<F**>(from.bytes_)), nullptr));
  }
  template <class F>
  static void destroy(erased_call& self) noexcept {
    if constexpr (in_place<F>) {
      self.as<F>().~F();
    } else if (F* const apart = *std::launder(reinterpret_cast<F**>(self.bytes_))) {
      apart->~F();
      asio::recycling_allocator<F>().deallocate(apart, 1);
    }
  }

  template <class F>
  static constexpr auto mover() -> void (*)(erased_call&, erased_call&) noexcept {
    if constexpr (is_bytes<F>) {
      return nullptr;
    } else if constexpr (in_place<F>) {
      return &move<F>;
    } else {
      return &take<F>;
    }
  }

  template <class F>
  static constexpr type type_of{.invoke = &invoke<F>,
                                .copy = &copy<F>,
                                .move = mover<F>(),
                                .destroy = is_bytes<F> ? nullptr : &destroy<F>};

  const type* type_;
  alignas(void*) std::byte bytes_[sizeof(void*) + sizeof(std::string)];
};

/// The type that stands for a call in an `any_pipeline<T>`. The engine runs calls differently if they
/// take their context's token, and if they give a result instead of a value.
template <class T, class F>
using erased_call_of =
    erased_call<std::conditional_t<!token_call<F> && std::same_as<attempt_value_t<F>, T>, T,
                                   result<T>>,
                std::conditional_t<takes_scope_v<F>, call_context&, const call_context&>>;

}  // namespace holdfast::detail

#endif
