// SPDX-License-Identifier: BSL-1.0
#include "unprotected.hpp"

#include "http_server.hpp"

#include <boost/asio/experimental/channel.hpp>

#include <exception>
#include <memory>

namespace demo {
namespace {

class unprotected_service {
 public:
  unprotected_service(asio::io_context& ctx, const chat_options& options)
      : gpt4_(ctx.get_executor(), loopback(options.gpt4_port)),
        free_workers_(ctx, unprotected_workers) {
    for (unsigned i = 0; i != unprotected_workers; ++i) {
      free_workers_.try_send(error_code());
    }
  }

  asio::awaitable<response> handle(request req) {
    if (req.target() == "/status") {
      co_return status();
    }
    if (waiting_ == unprotected_queue) {
      co_return make_response(http::status::service_unavailable, {{"error", "queue full"}});
    }
    ++waiting_;
    co_await free_workers_.async_receive(asio::deferred);
    --waiting_;
    ++busy_;
    response res;
    std::exception_ptr error;
    try {
      res = co_await work(std::move(req));
    } catch (...) {
      error = std::current_exception();
    }
    --busy_;
    free_workers_.try_send(error_code());
    if (error) {
      std::rethrow_exception(error);
    }
    co_return res;
  }

 private:
  asio::awaitable<response> work(request req) {
    if (req.method() == http::verb::post && req.target() == "/ask") {
      question q = parse_question(req.body());
      std::string text = co_await ask_model(gpt4_, "gpt-4", q.text, [] { return asio::deferred; });
      history_.add(q.user, q.text, text);
      co_return make_response(http::status::ok,
                              {{"answer", text}, {"source", "gpt-4"}, {"quality", "primary"}});
    }
    if (req.method() == http::verb::get && req.target().starts_with("/history")) {
      co_return make_response(http::status::ok, history_.of(user_of(req.target())));
    }
    co_return make_response(http::status::not_found, {{"error", "no such resource"}});
  }

  response status() const {
    return make_response(
        http::status::ok,
        {{"workers", unprotected_workers}, {"busy", busy_}, {"waiting", waiting_}});
  }

  http_client gpt4_;
  conversations history_;
  /// A semaphore: one message for each worker that has nothing to do.
  asio::experimental::channel<void(error_code)> free_workers_;
  unsigned busy_ = 0;
  unsigned waiting_ = 0;
};

}  // namespace

std::uint16_t start_unprotected_service(asio::io_context& ctx, const chat_options& options) {
  auto self = std::make_shared<unprotected_service>(ctx, options);
  return listen(ctx, options.port, [self](request req) { return self->handle(std::move(req)); });
}

}  // namespace demo
