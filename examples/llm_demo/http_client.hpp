// SPDX-License-Identifier: BSL-1.0
//
// Sends requests to one HTTP server and keeps its connections for the next ones.
#pragma once

#include "http.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/append.hpp>  // Beast uses it without including it
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>

#include <chrono>
#include <utility>
#include <vector>

namespace demo {

/// Not thread-safe: it belongs to the one thread that runs its executor.
class http_client {
 public:
  http_client(asio::any_io_executor executor, tcp::endpoint server)
      : executor_(std::move(executor)), server_(std::move(server)) {}

  /// Sends a request and awaits the response, with a fresh `token()` for each operation: the
  /// tokens decide who may cancel them. Throws boost::system::system_error.
  ///
  /// A connection goes back to the others only after a whole response. One that failed or was
  /// cancelled half-way dies with this coroutine: what is still under way on it would be taken
  /// for the answer to the next request.
  template <class Tokens>
  asio::awaitable<response> send(request req, Tokens token) {
    connection c = take();
    return exchange(std::move(c), std::move(req), std::move(token));
  }

  /// The same without anybody who may cancel it, but with an end to the client's own patience.
  asio::awaitable<response> send_within(std::chrono::nanoseconds limit, request req) {
    connection c = take();
    c.stream.expires_after(limit);
    return exchange(std::move(c), std::move(req), [] { return asio::deferred; });
  }

 private:
  struct connection {
    beast::tcp_stream stream;
    bool connected;
  };

  template <class Tokens>
  asio::awaitable<response> exchange(connection c, request req, Tokens token) {
    if (!c.connected) {
      co_await c.stream.async_connect(server_, token());
      c.stream.socket().set_option(tcp::no_delay(true));
    }
    co_await http::async_write(c.stream, req, token());
    response res;
    beast::flat_buffer buffer;
    co_await http::async_read(c.stream, buffer, res, token());
    if (res.keep_alive() && buffer.size() == 0) {
      keep(std::move(c.stream));
    }
    co_return res;
  }

  connection take();
  void keep(beast::tcp_stream stream);

  asio::any_io_executor executor_;
  tcp::endpoint server_;
  std::vector<beast::tcp_stream> idle_;
};

}  // namespace demo
