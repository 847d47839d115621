// SPDX-License-Identifier: BSL-1.0
#include "http_server.hpp"

#include <boost/asio/append.hpp>  // Beast uses it without including it
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>

#include <chrono>
#include <exception>
#include <memory>

namespace demo {
namespace {

asio::awaitable<response> answer(const handler& handle, request req) {
  try {
    co_return co_await handle(std::move(req));
  } catch (const bad_request& e) {
    co_return make_response(http::status::bad_request, {{"error", e.what()}});
  } catch (const std::exception& e) {
    co_return make_response(http::status::internal_server_error, {{"error", e.what()}});
  }
}

asio::awaitable<void> serve(tcp::socket socket, std::shared_ptr<const handler> handle) {
  error_code ec;
  socket.set_option(tcp::no_delay(true), ec);
  beast::flat_buffer buffer;
  for (;;) {
    request req;
    co_await http::async_read(socket, buffer, req, asio::redirect_error(asio::deferred, ec));
    if (ec) {
      co_return;  // the client has gone, or does not speak HTTP
    }
    const bool keep_alive = req.keep_alive();
    response res = co_await answer(*handle, std::move(req));
    res.keep_alive(keep_alive);
    co_await http::async_write(socket, res, asio::redirect_error(asio::deferred, ec));
    if (ec || !keep_alive) {
      co_return;
    }
  }
}

asio::awaitable<void> accept(tcp::acceptor acceptor, std::shared_ptr<const handler> handle) {
  for (;;) {
    error_code ec;
    tcp::socket socket = co_await acceptor.async_accept(asio::redirect_error(asio::deferred, ec));
    if (!ec) {
      asio::co_spawn(acceptor.get_executor(), serve(std::move(socket), handle), asio::detached);
      continue;
    }
    // Out of descriptors, most likely. Trying again at once would only burn the processor.
    asio::steady_timer pause(acceptor.get_executor(), std::chrono::milliseconds(20));
    co_await pause.async_wait(asio::redirect_error(asio::deferred, ec));
  }
}

}  // namespace

std::uint16_t listen(asio::io_context& ctx, std::uint16_t port, handler handle) {
  tcp::acceptor acceptor(ctx, loopback(port));
  const std::uint16_t chosen = acceptor.local_endpoint().port();
  asio::co_spawn(ctx,
                 accept(std::move(acceptor), std::make_shared<const handler>(std::move(handle))),
                 asio::detached);
  return chosen;
}

}  // namespace demo
