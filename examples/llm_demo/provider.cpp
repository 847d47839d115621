// SPDX-License-Identifier: BSL-1.0
#include "provider.hpp"

#include "http_server.hpp"

#include <boost/asio/deferred.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include <memory>
#include <random>

namespace demo {
namespace {

using namespace std::chrono_literals;

/// How long a request hangs: longer than anybody waits, as the real ones do.
constexpr auto hang_time = 60s;

class provider {
 public:
  explicit provider(provider_options options)
      : options_(std::move(options)), random_(options_.seed) {}

  asio::awaitable<response> handle(request req, asio::any_io_executor executor) {
    if (req.target() == "/faults") {
      if (req.method() == http::verb::post) {
        change(json_body(req.body()));
      }
      co_return make_response(http::status::ok, {{"hang", faults_.hang}, {"fail", faults_.fail}});
    }
    if (req.target() != "/v1/chat/completions" || req.method() != http::verb::post) {
      co_return make_response(http::status::not_found, {{"error", "no such resource"}});
    }

    // One draw decides, so that shares that add up to one leave no healthy answer.
    const double draw = std::uniform_real_distribution<>(0, 1)(random_);
    if (draw >= faults_.hang && draw < faults_.hang + faults_.fail) {
      co_return make_response(http::status::service_unavailable,
                              {{"error", options_.model + " is overloaded"}});
    }
    const std::chrono::milliseconds latency(std::uniform_int_distribution<long>(
        options_.fastest.count(), options_.slowest.count())(random_));
    asio::steady_timer thinking(
        executor, draw < faults_.hang ? std::chrono::milliseconds(hang_time) : latency);
    co_await thinking.async_wait(asio::deferred);
    co_return make_response(http::status::ok, completion(json_body(req.body())));
  }

 private:
  void change(const json::object& wanted) {
    const auto share = [&](std::string_view name) {
      const json::value* value = wanted.if_contains(name);
      error_code ec;
      const double given = value ? value->to_number<double>(ec) : 0;
      if (ec || !(given >= 0 && given <= 1)) {
        throw bad_request(fmt::format("{} needs a number from 0 to 1", name));
      }
      return given;
    };
    faults_ = {.hang = share("hang"), .fail = share("fail")};
  }

  json::value completion(const json::object& asked) const {
    const std::string text =
        fmt::format("{} on '{}': it depends.", options_.model, text_member(asked, "prompt"));
    return {{"model", options_.model},
            {"choices", json::array{{{"message", {{"role", "assistant"}, {"content", text}}}}}}};
  }

  provider_options options_;
  std::mt19937_64 random_;
  faults faults_;
};

}  // namespace

std::uint16_t start_provider(asio::io_context& ctx, provider_options options) {
  auto self = std::make_shared<provider>(std::move(options));
  return listen(ctx, 0, [self, executor = ctx.get_executor()](request req) {
    return self->handle(std::move(req), executor);
  });
}

}  // namespace demo
