// SPDX-License-Identifier: BSL-1.0
//
// A small HTTP/1.1 server: providers and services are made of it.
#pragma once

#include "http.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <functional>

namespace demo {

/// Answers one request. An exception becomes a 400 or a 500 that carries its words.
using handler = std::function<asio::awaitable<response>(request)>;

/// Listens on loopback and serves until the context is destroyed; returns the port, which the
/// system chooses when `port` is 0. Throws boost::system::system_error when the port is taken.
///
/// The accept loop and its connections own all they use, through `handle`. So destroying the
/// context is all the shutting down there is: no object waits to be stopped in the right order.
std::uint16_t listen(asio::io_context& ctx, std::uint16_t port, handler handle);

}  // namespace demo
