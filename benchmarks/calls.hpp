// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_BENCHMARKS_CALLS_HPP
#define HOLDFAST_BENCHMARKS_CALLS_HPP

#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <holdfast/resilient.hpp>

/// \file
/// The calls that are protected, and their bare counterparts.

namespace bench {

namespace asio = boost::asio;
namespace hf = holdfast;

/// Returns at once.
inline asio::awaitable<int> ready_call() { co_return 1; }

/// Suspends once, and lets itself be cancelled through its context.
inline asio::awaitable<int> context_call(hf::call_context& context) {
  co_await asio::post(context.token());
  co_return 1;
}

/// Suspends once, and takes no token: the bare counterpart of both kinds.
inline asio::awaitable<int> opaque_call() {
  co_await asio::post(asio::deferred);
  co_return 1;
}

/// Returns at once, as a call that takes a context.
inline asio::awaitable<int> ready_context_call(hf::call_context&) { co_return 1; }

}  // namespace bench

#endif
