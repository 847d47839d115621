// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_CONTEXT_TOKEN_HPP
#define HOLDFAST_DETAIL_CONTEXT_TOKEN_HPP

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/associator.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/errc.hpp>
#include <boost/system/system_error.hpp>
#include <exception>
#include <holdfast/call_context.hpp>
#include <holdfast/detail/handler_executor.hpp>
#include <holdfast/detail/resumption.hpp>
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

/// One operation that was started with a context's token: it hears the context through the signal,
/// whose slot it is given. Not in the handler, since handlers move.
struct signal_listener : scope_listener {
  signal_listener() noexcept
      : scope_listener([](scope_listener& l, asio::cancellation_type_t type) {
          static_cast<signal_listener&>(l).signal.emit(type);
        }) {}

  static void* operator new(std::size_t size);
  static void operator delete(void* p) noexcept;

  asio::cancellation_signal signal;
};

/// Unlinks it, if its scope still is, and frees it.
inline void release_listener::operator()(signal_listener* l) const noexcept {
  cancellation_scope::unlink(*l, false);
  delete l;
}
using listener_ptr = std::unique_ptr<signal_listener, release_listener>;

/// Gives the operation's executor to a handler that names none, such as one of a parallel group.
template <class Handler, bool = has_executor_v<Handler>>
struct handler_home {
  explicit handler_home(const asio::any_io_executor&) noexcept {}
};
template <class Handler>
struct handler_home<Handler, false> {
  using executor_type = asio::any_io_executor;

  explicit handler_home(const asio::any_io_executor& e) : home(e) {}
  executor_type get_executor() const noexcept { return home; }

  asio::any_io_executor home;
};

/// Completes the operation's handler when nothing refers to the operation any more.
template <class Handler>
struct context_handler : handler_home<Handler> {
  using cancellation_slot_type = asio::cancellation_slot;

  cancellation_slot_type get_cancellation_slot() const noexcept { return listener->signal.slot(); }

  template <class... Args>
  void operator()(Args&&... args) {
    const auto outer = asio::get_associated_cancellation_slot(handler);
    if (outer.is_connected()) asio::cancellation_slot(outer).clear();
    listener.reset();
    std::move(handler)(std::forward<Args>(args)...);
  }

  Handler handler;
  listener_ptr listener;  // destroyed first: the handler may own the context
};

/// How an operation completes that was not started; only if its signature can tell an error.
template <class... Signatures>
struct not_started {
  static constexpr bool can_complete = false;
};
template <class... Ts>
  requires(std::is_default_constructible_v<std::decay_t<Ts>> && ...)
struct not_started<void(boost::system::error_code, Ts...)> {
  static constexpr bool can_complete = true;
  template <class Handler>
  static void complete(Handler&& handler, boost::system::error_code why) {
    std::forward<Handler>(handler)(why, std::decay_t<Ts>()...);
  }
};
template <class... Ts>
  requires(std::is_default_constructible_v<std::decay_t<Ts>> && ...)
struct not_started<void(std::exception_ptr, Ts...)> {
  static constexpr bool can_complete = true;
  template <class Handler>
  static void complete(Handler&& handler, boost::system::error_code why) {
    std::forward<Handler>(handler)(std::make_exception_ptr(boost::system::system_error(why)),
                                   std::decay_t<Ts>()...);
  }
};

/// A handler that is yet to hear that its operation was not started.
template <class Handler, class Completion>
struct aborted_handler {
  using executor_type = asio::associated_executor_t<Handler, asio::any_io_executor>;
  executor_type get_executor() const noexcept {
    return asio::get_associated_executor(handler, *home);
  }
  void operator()() { Completion::complete(std::move(handler), asio::error::operation_aborted); }

  Handler handler;
  const asio::any_io_executor* home;
};

class context_initiation_base {
 protected:
  friend struct forward_to_listener;

  /// To be entered: from here on the context is closed with care.
  static cancellation_scope& scope_of(call_context& c) noexcept {
    c.used_ = true;
    return c.scope_;
  }
  static const asio::any_io_executor& home_of(call_context& c) noexcept {
    return c.place_->executor();
  }
  static void hear_chain(call_context& c, const asio::cancellation_slot& slot) noexcept {
    if (c.in_callers_chain_) c.hear_chain(slot);
  }
  /// Whether the context is over, as far as can be told without a precise look at the clock: the
  /// alarm, which this operation arms, tells the rest.
  static bool is_over(const call_context& c) noexcept {
    if (c.scope_.reason() != cancel_reason::none) [[unlikely]] return true;
    return c.unarmed_ && c.limit.at <= c.place_->time().now() && c.cancelled();
  }
  /// Under the gate. May throw; nothing is linked then.
  static void link(call_context& c, scope_listener& l) {
    if (c.unarmed_) c.arm();
    c.scope_.link(l);
  }
};

/// Passes on what the operation's own handler hears: it concerns this operation alone, unless it comes
/// from the caller.
struct forward_to_listener {
  signal_listener* to;
  call_context* context;
  asio::cancellation_slot from;
  void operator()(asio::cancellation_type_t type) const {
    if (to->scope) {
      context_initiation_base::hear_chain(*context, from);
      to->scope->ring_one(*to, type);
    } else {
      to->signal.emit(type);
    }
  }
};

template <class Initiation, class... Signatures>
struct context_initiation : private context_initiation_base {
  using completion = not_started<Signatures...>;

  context_initiation(Initiation i, call_context* c) : initiation(std::move(i)), context(c) {}

  template <class Handler, class... Args>
  void operator()(Handler&& handler, Args&&... args) {
    using kept_handler = std::decay_t<Handler>;
    hear_chain(*context, asio::get_associated_cancellation_slot(handler));
    if constexpr (completion::can_complete) {
      if (is_over(*context)) [[unlikely]] return abort(kept_handler(std::forward<Handler>(handler)));
    }
    auto& scope = scope_of(*context);
    const cancellation_scope::entry in(scope);
    listener_ptr listener;
    try {
      listener.reset(new signal_listener);
      const auto outer = asio::get_associated_cancellation_slot(handler);
      if (outer.is_connected()) {
        asio::cancellation_slot(outer).template emplace<forward_to_listener>(listener.get(), context,
                                                                             outer);
      }
      link(*context, *listener);
    } catch (const std::bad_alloc&) {
      // Out of here it would leave the context's `run`, and the call would never go on.
      const auto outer = asio::get_associated_cancellation_slot(handler);
      if (outer.is_connected()) asio::cancellation_slot(outer).clear();
      if constexpr (completion::can_complete) {
        return completion::complete(std::forward<Handler>(handler),
                                    make_error_code(boost::system::errc::not_enough_memory));
      } else {
        throw;
      }
    }
    std::move(initiation)(
        context_handler<kept_handler>{handler_home<kept_handler>(home_of(*context)),
                                      std::forward<Handler>(handler), std::move(listener)},
        std::forward<Args>(args)...);
  }

  template <class Handler>
  void abort(Handler handler) {
    aborted_handler<Handler, completion> aborted{std::move(handler), &home_of(*context)};
    resumption later;
    try {
      later.store(std::move(aborted));
    } catch (const std::bad_alloc&) {
      return aborted();
    }
    later.post_or_resume();
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
    return asio::async_initiate<const asio::deferred_t, Signatures...>(
        wrapped(std::forward<Initiation>(initiation), token.context), asio::deferred,
        std::forward<Args>(args)...);
  }
};

#endif
