// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_HANDLER_EXECUTOR_HPP
#define HOLDFAST_DETAIL_HANDLER_EXECUTOR_HPP

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <concepts>
#include <type_traits>

namespace boost::asio::detail {
template <typename, typename>
class promise_executor;
}

namespace holdfast::detail {

namespace asio = boost::asio;

/// `use_future` brings an executor that only adapts the system's.
template <class>
inline constexpr bool is_promise_executor_v = false;
template <class T, class Blocking>
inline constexpr bool is_promise_executor_v<asio::detail::promise_executor<T, Blocking>> = true;

/// Whether a handler names an executor: one that names none takes the candidate's type.
template <class Handler>
inline constexpr bool has_executor_v = [] {
  using first = asio::io_context::executor_type;
  using second = asio::thread_pool::executor_type;
  using with_first = asio::associated_executor_t<Handler, first>;
  using with_second = asio::associated_executor_t<Handler, second>;
  constexpr bool takes_candidate =
      std::is_same_v<with_first, first> && std::is_same_v<with_second, second>;
  return !takes_candidate && !is_promise_executor_v<with_first>;
}();

/// An execution context that operations can run on.
template <class Context>
concept context_for_io = std::convertible_to<Context&, asio::execution_context&> &&
                        requires(Context& c) {
                          { c.get_executor() } -> std::convertible_to<asio::any_io_executor>;
                        };

/// The executor inside a type-erased one that is not for I/O. Throws `std::invalid_argument` if
/// there is none, or one of a type that Asio does not have.
asio::any_io_executor io_executor_in(const asio::any_completion_executor& erased);

/// The executor that an operation runs on when only its handler names one.
template <class Handler>
asio::any_io_executor io_executor_of(const Handler& handler) {
  static_assert(has_executor_v<Handler>,
                "holdfast: the completion handler has no executor, so the operation would run on "
                "threads of asio::system_executor; give it one with asio::bind_executor(executor, "
                "token), or start the operation on one: chain.on(executor)(token), "
                "hf::sleep_for(executor, duration, token), bulkhead.drain(executor, token).");
  if constexpr (has_executor_v<Handler>) {
    using executor = asio::associated_executor_t<Handler, asio::any_completion_executor>;
    if constexpr (std::is_convertible_v<executor, asio::any_io_executor>) {
      return asio::get_associated_executor(handler);
    } else {
      return io_executor_in(
          asio::get_associated_executor(handler, asio::any_completion_executor()));
    }
  } else {
    return {};
  }
}

}  // namespace holdfast::detail

#endif
