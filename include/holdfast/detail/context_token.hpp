// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_CONTEXT_TOKEN_HPP
#define HOLDFAST_DETAIL_CONTEXT_TOKEN_HPP

#include <boost/asio/associator.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/system/errc.hpp>
#include <boost/system/error_code.hpp>
#include <holdfast/call_context.hpp>
#include <new>
#include <type_traits>
#include <utility>

namespace holdfast {

/// See `call_context::token()`.
struct context_token {
  call_context* context;
};

inline context_token call_context::token() noexcept { return {this}; }

namespace detail {

struct context_token_access {
  static void listen(call_context& context, asio::cancellation_slot caller) {
    context.listen_to(caller);
  }
};

/// Completes the operation's handler after emptying the scope's slot: what an operation leaves
/// there may refer to an I/O object that is gone by the time a timeout fires.
template <class Handler>
struct context_handler {
  using cancellation_slot_type = asio::cancellation_slot;

  cancellation_slot_type get_cancellation_slot() const noexcept { return slot; }

  template <class... Args>
  void operator()(Args&&... args) {
    if (slot.has_handler()) slot.clear();
    std::move(handler)(std::forward<Args>(args)...);
  }

  Handler handler;
  asio::cancellation_slot slot;
};

/// Completes with a lack of memory an operation that was not started, where its signature has an
/// error code to say so.
template <class... Signatures>
struct out_of_memory {
  static constexpr bool can_complete = false;
};
template <class... Ts>
  requires(std::is_default_constructible_v<std::decay_t<Ts>> && ...)
struct out_of_memory<void(boost::system::error_code, Ts...)> {
  static constexpr bool can_complete = true;
  template <class Handler>
  static void complete(Handler&& handler) {
    std::forward<Handler>(handler)(make_error_code(boost::system::errc::not_enough_memory),
                                   std::decay_t<Ts>()...);
  }
};

template <class Initiation, class... Signatures>
struct context_initiation {
  template <class Handler, class... Args>
  void operator()(Handler&& handler, Args&&... args) {
    try {
      context_token_access::listen(*context, asio::get_associated_cancellation_slot(handler));
    } catch (const std::bad_alloc&) {
      // Out of here it would leave the context's `run`, and the call would never go on.
      using failure = out_of_memory<Signatures...>;
      if constexpr (failure::can_complete) {
        return failure::complete(std::forward<Handler>(handler));
      } else {
        throw;
      }
    }
    std::move(initiation)(
        context_handler<std::decay_t<Handler>>{std::forward<Handler>(handler), context->slot()},
        std::forward<Args>(args)...);
  }

  Initiation initiation;
  call_context* context;
};

}  // namespace detail
}  // namespace holdfast

template <template <class, class> class Associator, class Handler, class Default>
struct boost::asio::associator<Associator, holdfast::detail::context_handler<Handler>, Default>
    : Associator<Handler, Default> {
  static auto get(const holdfast::detail::context_handler<Handler>& h) noexcept {
    return Associator<Handler, Default>::get(h.handler);
  }
  static auto get(const holdfast::detail::context_handler<Handler>& h,
                  const Default& fallback) noexcept {
    return Associator<Handler, Default>::get(h.handler, fallback);
  }
};

template <class... Signatures>
struct boost::asio::async_result<holdfast::context_token, Signatures...> {
  template <class Initiation, class... Args>
  static auto initiate(Initiation&& initiation, holdfast::context_token token, Args&&... args) {
    using wrapped =
        holdfast::detail::context_initiation<std::decay_t<Initiation>, Signatures...>;
    static_cast<void>(token.context->slot());  // arms the deadline: here it may throw
    return asio::async_initiate<const asio::deferred_t, Signatures...>(
        wrapped{std::forward<Initiation>(initiation), token.context}, asio::deferred,
        std::forward<Args>(args)...);
  }
};

#endif
